/*
 * convert.c - float32 and the short floats
 *
 *                  sign exponent mantissa  bias   infinity   NaN
 *     float32       1      8       23      127    yes        many
 *     bfloat16      1      8        7      127    yes        many
 *     float16       1      5       10       15    yes        many
 *     float8_e5m2   1      5        2       15    yes        7D 7E 7F
 *     float8_e4m3fn 1      4        3        7    no         7F only
 *
 * Spec: IEEE 754-2008; Micikevicius et al., "FP8 Formats for Deep Learning",
 *       arXiv 2209.05433; results as those of the Python package ml_dtypes.
 */
#include "kio.h"
#include "dispatch.h"

KIO_INLINE float as_float(uint32_t bits)
{
	float f;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

KIO_INLINE uint32_t as_bits(float f)
{
	uint32_t bits;
	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/*
 * a where x < y, else b; both below 2^31.  Spelled with masks because with ?:
 * GCC makes branches around the arithmetic of floats, and no vectors.
 */
KIO_INLINE uint32_t below(uint32_t x, uint32_t y, uint32_t a, uint32_t b)
{
	uint32_t mask = 0u - (uint32_t)((int32_t)x < (int32_t)y);

	return (a & mask) | (b & ~mask);
}

KIO_INLINE uint32_t widen_bf16(uint32_t x) { return x << 16; }

KIO_INLINE uint32_t narrow_bf16(uint32_t x)
{
	/* Half of the dropped range, less one if the kept part is even. */
	uint32_t rounded = (x + 0x7FFF + (x >> 16 & 1)) >> 16;

	return below(0x7F800000, x & 0x7FFFFFFF, (x >> 16 & 0x8000) | 0x7FC0, rounded);
}

/*
 * Widen the magnitude of a finite number with `mant` mantissa bits.  Normal
 * numbers are rebiased in integers.  A subnormal's mantissa m is put under an
 * exponent where its last place is worth what it should, and the hidden one
 * subtracted again: exact, and without a float32 subnormal in between, which a
 * thread set to flush those (torch.set_flush_denormal) would lose.
 */
KIO_INLINE uint32_t widen(uint32_t magnitude, unsigned mant, int bias)
{
	uint32_t moved = magnitude << (23 - mant);
	uint32_t hidden = (uint32_t)(127 - bias + 1) << 23;
	uint32_t normal = moved + ((uint32_t)(127 - bias) << 23);
	uint32_t subnormal = as_bits(as_float(moved + hidden) - as_float(hidden));

	return below(moved, 1u << 23, subnormal, normal);
}

/*
 * Narrow the magnitude of a finite float32 that does not overflow.  Normal
 * results: rebias and round in integers, where a carry out of the mantissa
 * rightly raises the exponent.  Subnormal results: adding a float whose last
 * mantissa place is the short format's smallest subnormal lets the FPU round.
 */
KIO_INLINE uint32_t narrow(uint32_t magnitude, unsigned mant, int bias)
{
	uint32_t drop = 23 - mant;
	uint32_t rebias = (uint32_t)(127 - bias) << 23;
	uint32_t normal = (magnitude - rebias + (1u << (drop - 1)) - 1 + (magnitude >> drop & 1)) >> drop;
	uint32_t magic = (uint32_t)(127 - bias + 1 + (int)drop) << 23;
	uint32_t subnormal = as_bits(as_float(magnitude) + as_float(magic)) - magic;

	return below(magnitude, rebias + (1u << 23), subnormal, normal);
}

KIO_INLINE uint32_t widen_f16(uint32_t x)
{
	uint32_t sign = (x & 0x8000) << 16, m = x & 0x7FFF;
	uint32_t special = 0x7F800000 | (m & 0x3FF) << 13 | below(0x7C00, m, 0x400000, 0);

	return sign | below(m, 0x7C00, widen(m, 10, 15), special);
}

KIO_INLINE uint32_t narrow_f16(uint32_t x)
{
	uint32_t sign = x >> 16 & 0x8000, m = x & 0x7FFFFFFF;
	/* 65520, halfway between the largest float16 and what would follow. */
	uint32_t finite = below(m, 0x477FF000, narrow(m, 10, 15), 0x7C00);

	return sign | below(0x7F800000, m, 0x7E00 | (m >> 13 & 0x1FF), finite);
}

KIO_INLINE uint32_t widen_e5m2(uint32_t x)
{
	uint32_t sign = (x & 0x80) << 24, m = x & 0x7F;
	uint32_t special = below(m, 0x7D, 0x7F800000, 0x7FC00000);

	return sign | below(m, 0x7C, widen(m, 2, 15), special);
}

KIO_INLINE uint32_t narrow_e5m2(uint32_t x)
{
	uint32_t sign = x >> 24 & 0x80, m = x & 0x7FFFFFFF;
	/* 61440, halfway between the largest float8_e5m2 and what would follow. */
	uint32_t finite = below(m, 0x47700000, narrow(m, 2, 15), 0x7C);

	return sign | below(0x7F800000, m, 0x7E, finite);
}

KIO_INLINE uint32_t widen_e4m3fn(uint32_t x)
{
	uint32_t sign = (x & 0x80) << 24, m = x & 0x7F;

	return sign | below(m, 0x7F, widen(m, 3, 7), 0x7FC00000);
}

KIO_INLINE uint32_t narrow_e4m3fn(uint32_t x)
{
	uint32_t sign = x >> 24 & 0x80, m = x & 0x7FFFFFFF;

	/* 464 ties between 448, the largest value, and 480, which is NaN: even is 448. */
	return sign | below(0x43E80000, m, 0x7F, narrow(m, 3, 7));
}

#define WIDEN_LOOP(name, attributes, bits, convert)                           \
	attributes static void name(void *dst, const void *src, size_t nelems) \
	{                                                                     \
		uint8_t *KIO_RESTRICT out = dst;                              \
		const uint8_t *KIO_RESTRICT in = src;                         \
		for (size_t i = 0; i < nelems; i++)                           \
			kio_store32(out + 4 * i, convert(LOAD_##bits(in, i))); \
	}
#define NARROW_LOOP(name, attributes, bits, convert)                          \
	attributes static void name(void *dst, const void *src, size_t nelems) \
	{                                                                     \
		uint8_t *KIO_RESTRICT out = dst;                              \
		const uint8_t *KIO_RESTRICT in = src;                         \
		for (size_t i = 0; i < nelems; i++)                           \
			STORE_##bits(out, i, convert(kio_load32(in + 4 * i))); \
	}
#define LOAD_8(in, i) (in)[i]
#define LOAD_16(in, i) kio_load16((in) + 2 * (i))
#define STORE_8(out, i, v) ((out)[i] = (uint8_t)(v))
#define STORE_16(out, i, v) kio_store16((out) + 2 * (i), (uint16_t)(v))


#define CONVERSION_DISPATCH(conversion)                                       \
	typedef kio_convert_fn kio_##conversion##_fn;                         \
	KIO_DISPATCH_VOID(conversion, (void *dst, const void *src, size_t nelems), \
			  (dst, src, nelems))

#if KIO_SIMD_X86
#define CONVERSION(conversion, kind, bits, convert)                           \
	kind##_LOOP(conversion##_portable, KIO_NO_TARGET, bits, convert)      \
	kind##_LOOP(conversion##_avx2, KIO_TARGET("avx2"), bits, convert)     \
	kind##_LOOP(conversion##_avx512,                                      \
		    KIO_TARGET("avx512f,avx512bw,avx512vl"), bits, convert) \
	const struct kio_convert_impl kio_##conversion##_impls[] = {          \
		{ "avx512", kio_runs_avx512, conversion##_avx512 },           \
		{ "avx2", kio_runs_avx2, conversion##_avx2 },                 \
		{ "portable", kio_runs_always, conversion##_portable },       \
	};                                                                    \
	CONVERSION_DISPATCH(conversion)
#else
#define CONVERSION(conversion, kind, bits, convert)                           \
	kind##_LOOP(conversion##_portable, KIO_NO_TARGET, bits, convert)      \
	const struct kio_convert_impl kio_##conversion##_impls[] = {          \
		{ "portable", kio_runs_always, conversion##_portable },       \
	};                                                                    \
	CONVERSION_DISPATCH(conversion)
#endif

CONVERSION(bf16_to_f32, WIDEN, 16, widen_bf16)
CONVERSION(f32_to_bf16, NARROW, 16, narrow_bf16)
CONVERSION(f16_to_f32, WIDEN, 16, widen_f16)
CONVERSION(f32_to_f16, NARROW, 16, narrow_f16)
CONVERSION(f8_e4m3fn_to_f32, WIDEN, 8, widen_e4m3fn)
CONVERSION(f32_to_f8_e4m3fn, NARROW, 8, narrow_e4m3fn)
CONVERSION(f8_e5m2_to_f32, WIDEN, 8, widen_e5m2)
CONVERSION(f32_to_f8_e5m2, NARROW, 8, narrow_e5m2)
