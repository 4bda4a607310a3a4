/*
 * cpu.c - which instruction sets run here
 *
 * Spec: Intel SDM vol. 1 ch. 13.2 (XGETBV and what the OS saves), vol. 2 CPUID;
 *       Arm: Linux Documentation/arch/arm64/elf_hwcaps.rst.
 */
#include "compiler.h"
#include "cpu.h"

int kio_runs_always(void) { return 1; }

#if KIO_SIMD_X86

#include <cpuid.h>

/* Bits of the words CPUID leaves 1 and 7 return. */
#define L1_ECX_PCLMULQDQ (1u << 1)
#define L1_ECX_SSSE3 (1u << 9)
#define L1_ECX_SSE41 (1u << 19)
#define L1_ECX_SSE42 (1u << 20)
#define L1_ECX_OSXSAVE (1u << 27)
#define L1_ECX_AVX (1u << 28)
#define L7_EBX_BMI1 (1u << 3)
#define L7_EBX_AVX2 (1u << 5)
#define L7_EBX_BMI2 (1u << 8)
#define L7_EBX_AVX512F (1u << 16)
#define L7_EBX_AVX512BW (1u << 30)
#define L7_EBX_AVX512VL (1u << 31)
#define L7_ECX_VPCLMULQDQ (1u << 10)

/* XCR0: the register files the operating system saves at a context switch. */
#define XCR0_YMM 0x06u
#define XCR0_ZMM 0xE6u

/* What kio asks for, one bit each. */
enum {
	ASKED = 1,
	SSSE3 = 2,
	SSE42 = 4,
	PCLMUL = 8,
	AVX2 = 16,
	BMI2 = 32,
	VPCLMUL = 64,
	AVX512 = 128
};

static int has(unsigned word, unsigned bits) { return (word & bits) == bits; }

static unsigned ask(void)
{
	unsigned features = ASKED, a, b, c, d, l1_ecx = 0, l7_ebx = 0, l7_ecx = 0, xcr0 = 0;

	if (__get_cpuid(1, &a, &b, &c, &d))
		l1_ecx = c;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		l7_ebx = b;
		l7_ecx = c;
	}
	if (has(l1_ecx, L1_ECX_OSXSAVE)) {
		/* XGETBV by hand: the intrinsic needs a target flag. */
		__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
		xcr0 = a;
	}
	if (has(l1_ecx, L1_ECX_SSSE3))
		features |= SSSE3;
	if (has(l1_ecx, L1_ECX_SSE42))
		features |= SSE42;
	if (has(l1_ecx, L1_ECX_PCLMULQDQ | L1_ECX_SSE41))
		features |= PCLMUL;
	if (has(l1_ecx, L1_ECX_AVX) && has(xcr0, XCR0_YMM) && has(l7_ebx, L7_EBX_AVX2)) {
		features |= AVX2;
		if (has(l7_ebx, L7_EBX_BMI1 | L7_EBX_BMI2))
			features |= BMI2;
		if (has(l7_ecx, L7_ECX_VPCLMULQDQ) && has(features, PCLMUL))
			features |= VPCLMUL;
		if (has(xcr0, XCR0_ZMM) &&
		    has(l7_ebx, L7_EBX_AVX512F | L7_EBX_AVX512BW | L7_EBX_AVX512VL))
			features |= AVX512;
	}
	return features;
}

/* Remembered: in a virtual machine CPUID is a trap of some microseconds. */
static int runs(unsigned wanted)
{
	static KIO_DISPATCH_QUALIFIER unsigned remembered;
	unsigned features = KIO_LOAD_RELAXED(&remembered);

	if (!features) {
		features = ask();
		KIO_STORE_RELAXED(&remembered, features);
	}
	return has(features, wanted);
}

int kio_runs_ssse3(void) { return runs(SSSE3); }
int kio_runs_sse42(void) { return runs(SSE42); }
int kio_runs_pclmul(void) { return runs(PCLMUL); }
int kio_runs_avx2(void) { return runs(AVX2); }
int kio_runs_bmi2(void) { return runs(BMI2); }
int kio_runs_vpclmul(void) { return runs(VPCLMUL); }
int kio_runs_vpclmul512(void) { return runs(VPCLMUL | AVX512); }
int kio_runs_avx512(void) { return runs(AVX512); }

#elif KIO_SIMD_ARM

#if defined(__linux__)
#include <sys/auxv.h>
enum { ARM_HWCAP_PMULL = 1 << 4, ARM_HWCAP_CRC32 = 1 << 7 };
static int hwcap(unsigned long bits) { return (getauxval(16 /* AT_HWCAP */) & bits) == bits; }
int kio_runs_arm_crc32(void) { return hwcap(ARM_HWCAP_CRC32); }
int kio_runs_arm_pmull(void) { return hwcap(ARM_HWCAP_CRC32 | ARM_HWCAP_PMULL); }
#elif defined(__APPLE__)
/* Every Apple arm64 has both (the M1 is ARMv8.5). */
int kio_runs_arm_crc32(void) { return 1; }
int kio_runs_arm_pmull(void) { return 1; }
#else
/* Elsewhere only what the compiler was told every machine has. */
#if defined(__ARM_FEATURE_CRC32)
int kio_runs_arm_crc32(void) { return 1; }
#else
int kio_runs_arm_crc32(void) { return 0; }
#endif
#if defined(__ARM_FEATURE_CRC32) && (defined(__ARM_FEATURE_AES) || defined(__ARM_FEATURE_CRYPTO))
int kio_runs_arm_pmull(void) { return 1; }
#else
int kio_runs_arm_pmull(void) { return 0; }
#endif
#endif

#endif
