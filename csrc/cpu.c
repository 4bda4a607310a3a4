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
enum {
	L1_ECX_PCLMULQDQ = 1 << 1,
	L1_ECX_SSSE3 = 1 << 9,
	L1_ECX_SSE41 = 1 << 19,
	L1_ECX_SSE42 = 1 << 20,
	L1_ECX_OSXSAVE = 1 << 27,
	L1_ECX_AVX = 1 << 28,
	L1_ECX_F16C = 1 << 29,
	L7_EBX_BMI1 = 1 << 3,
	L7_EBX_AVX2 = 1 << 5,
	L7_EBX_BMI2 = 1 << 8,
	L7_EBX_AVX512F = 1 << 16,
	L7_EBX_AVX512BW = 1 << 30,
	L7_ECX_VPCLMULQDQ = 1 << 10
};
#define L7_EBX_AVX512VL (1u << 31) /* does not fit an enum, which is an int */

/* XCR0: the register files the operating system saves at a context switch. */
enum { XCR0_YMM = 0x6, XCR0_ZMM = 0xE6 };

struct words { unsigned l1_ecx, l7_ebx, l7_ecx, xcr0; };

static struct words ask(void)
{
	struct words w = { 0, 0, 0, 0 };
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d))
		w.l1_ecx = c;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		w.l7_ebx = b;
		w.l7_ecx = c;
	}
	if (w.l1_ecx & L1_ECX_OSXSAVE) {
		/* XGETBV by hand: the intrinsic needs a target flag. */
		__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
		w.xcr0 = a;
	}
	return w;
}

static int has(unsigned word, unsigned bits) { return (word & bits) == bits; }

int kio_runs_ssse3(void) { return has(ask().l1_ecx, L1_ECX_SSSE3); }
int kio_runs_sse42(void) { return has(ask().l1_ecx, L1_ECX_SSE42); }

int kio_runs_pclmul(void)
{
	return has(ask().l1_ecx, L1_ECX_PCLMULQDQ | L1_ECX_SSE41);
}

static int avx2(const struct words *w)
{
	return has(w->l1_ecx, L1_ECX_AVX) && has(w->xcr0, XCR0_YMM) &&
	       has(w->l7_ebx, L7_EBX_AVX2);
}

static int avx512(const struct words *w)
{
	return avx2(w) && has(w->xcr0, XCR0_ZMM) &&
	       has(w->l7_ebx, L7_EBX_AVX512F | L7_EBX_AVX512BW | L7_EBX_AVX512VL);
}

static int vpclmul(const struct words *w)
{
	return has(w->l1_ecx, L1_ECX_PCLMULQDQ) && has(w->l7_ecx, L7_ECX_VPCLMULQDQ);
}

int kio_runs_avx2(void)
{
	struct words w = ask();
	return avx2(&w);
}

int kio_runs_f16c(void)
{
	struct words w = ask();
	return avx2(&w) && has(w.l1_ecx, L1_ECX_F16C);
}

int kio_runs_bmi2(void)
{
	struct words w = ask();
	return avx2(&w) && has(w.l7_ebx, L7_EBX_BMI1 | L7_EBX_BMI2);
}

int kio_runs_vpclmul(void)
{
	struct words w = ask();
	return avx2(&w) && vpclmul(&w);
}

int kio_runs_vpclmul512(void)
{
	struct words w = ask();
	return avx512(&w) && vpclmul(&w);
}

int kio_runs_avx512(void)
{
	struct words w = ask();
	return avx512(&w);
}

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
