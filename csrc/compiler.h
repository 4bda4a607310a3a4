/*
 * compiler.h - the only place that asks which compiler, CPU or byte order this is
 *
 * Internal to csrc.  GCC and clang (clang-cl too) get SIMD; any other C11
 * compiler, MSVC among them, gets the portable kernels.
 */
#ifndef KIO_COMPILER_H
#define KIO_COMPILER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#  define KIO_GNU 1
#else
#  define KIO_GNU 0
#endif

/* Byte order.  Every machine MSVC targets is little-endian. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#  define KIO_LITTLE_ENDIAN 0
#else
#  define KIO_LITTLE_ENDIAN 1
#endif

/* Which SIMD rows exist in this build; whether they run here is cpu.c's to say. */
#if KIO_GNU && defined(__x86_64__)
#  define KIO_SIMD_X86 1
#else
#  define KIO_SIMD_X86 0
#endif
#if KIO_GNU && defined(__aarch64__) && KIO_LITTLE_ENDIAN
#  define KIO_SIMD_ARM 1
#else
#  define KIO_SIMD_ARM 0
#endif

/*
 * The intrinsics of the optional CRC and AES extensions.  GCC, and clang from
 * 16, let a function ask for them; before that clang's headers have them only
 * if the whole file was compiled for them, as on macOS.
 */
#if KIO_SIMD_ARM && (!defined(__clang__) || __clang_major__ >= 16 || \
		     (defined(__ARM_FEATURE_CRC32) && defined(__ARM_FEATURE_AES)))
#  define KIO_SIMD_ARM_CRC 1
#else
#  define KIO_SIMD_ARM_CRC 0
#endif
#if defined(__clang__)
#  define KIO_ARM_FEATURES_CRC "crc"
#  define KIO_ARM_FEATURES_PMULL "crc,aes"
#else
#  define KIO_ARM_FEATURES_CRC "+crc"
#  define KIO_ARM_FEATURES_PMULL "+crc+crypto"
#endif

/* Where SSE4.2's CRC instruction is: clang 14 made it a feature of its own. */
#if defined(__clang__) && __clang_major__ >= 14
#  define KIO_X86_FEATURES_CRC32 "sse4.2,crc32"
#else
#  define KIO_X86_FEATURES_CRC32 "sse4.2"
#endif

#if KIO_GNU
#  define KIO_INLINE static inline __attribute__((always_inline, unused))
#  define KIO_NOINLINE __attribute__((noinline))
#  define KIO_TARGET(isa) __attribute__((target(isa)))
#  define KIO_LIKELY(x) __builtin_expect(!!(x), 1)
#  define KIO_UNLIKELY(x) __builtin_expect(!!(x), 0)
#  define KIO_RESTRICT __restrict__
#elif defined(_MSC_VER)
#  define KIO_INLINE static __forceinline
#  define KIO_NOINLINE __declspec(noinline)
#  define KIO_TARGET(isa)
#  define KIO_LIKELY(x) (x)
#  define KIO_UNLIKELY(x) (x)
#  define KIO_RESTRICT __restrict
#else
#  define KIO_INLINE static inline
#  define KIO_NOINLINE
#  define KIO_TARGET(isa)
#  define KIO_LIKELY(x) (x)
#  define KIO_UNLIKELY(x) (x)
#  define KIO_RESTRICT
#endif

/* For the place of KIO_TARGET in a macro's arguments. */
#define KIO_NO_TARGET

/*
 * The chosen implementation is one pointer, written by whoever comes first;
 * all writers write the same value.  <stdatomic.h> would say so portably, but
 * MSVC has it only behind a switch.  A volatile pointer-sized access is atomic
 * on every target kio has.
 */
#if KIO_GNU
#  define KIO_LOAD_RELAXED(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#  define KIO_STORE_RELAXED(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#  define KIO_DISPATCH_QUALIFIER
#else
#  define KIO_LOAD_RELAXED(p) (*(p))
#  define KIO_STORE_RELAXED(p, v) ((void)(*(p) = (v)))
#  define KIO_DISPATCH_QUALIFIER volatile
#endif

/* Unaligned loads and stores; memcpy of a constant size is one instruction. */
KIO_INLINE uint16_t kio_load16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

KIO_INLINE uint32_t kio_load32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

KIO_INLINE uint64_t kio_load64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

KIO_INLINE void kio_store16(void *p, uint16_t v) { memcpy(p, &v, sizeof(v)); }
KIO_INLINE void kio_store32(void *p, uint32_t v) { memcpy(p, &v, sizeof(v)); }
KIO_INLINE void kio_store64(void *p, uint64_t v) { memcpy(p, &v, sizeof(v)); }

KIO_INLINE uint16_t kio_swap16(uint16_t v)
{
	return (uint16_t)((v << 8) | (v >> 8));
}

KIO_INLINE uint32_t kio_swap32(uint32_t v)
{
#if KIO_GNU
	return __builtin_bswap32(v);
#else
	return (v << 24) | ((v & 0xFF00u) << 8) | ((v >> 8) & 0xFF00u) | (v >> 24);
#endif
}

KIO_INLINE uint64_t kio_swap64(uint64_t v)
{
#if KIO_GNU
	return __builtin_bswap64(v);
#else
	return ((uint64_t)kio_swap32((uint32_t)v) << 32) | kio_swap32((uint32_t)(v >> 32));
#endif
}

KIO_INLINE uint32_t kio_load32le(const void *p)
{
	uint32_t v = kio_load32(p);
	return KIO_LITTLE_ENDIAN ? v : kio_swap32(v);
}

KIO_INLINE uint64_t kio_load64le(const void *p)
{
	uint64_t v = kio_load64(p);
	return KIO_LITTLE_ENDIAN ? v : kio_swap64(v);
}

KIO_INLINE void kio_store32le(void *p, uint32_t v)
{
	kio_store32(p, KIO_LITTLE_ENDIAN ? v : kio_swap32(v));
}

#endif /* KIO_COMPILER_H */
