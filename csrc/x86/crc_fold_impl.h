/*
 * x86/crc_fold_impl.h - CRC by carry-less multiplication; included by crc32.c and crc32c.c
 *
 * Each wide register holds 16-byte lanes of the message as polynomials; see
 * struct crc_fold in crc_impl.h for the arithmetic.  Four registers run side by
 * side to hide the multiplier's latency, then are folded into one, that into
 * one lane, and the lane's 16 bytes are left to the tables.
 *
 * Spec: V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using
 *       PCLMULQDQ Instruction", Intel, 2009.
 */
#include <immintrin.h>

#define PCLMUL KIO_TARGET("pclmul,sse4.1")
#define VPCLMUL KIO_TARGET("pclmul,avx2,vpclmulqdq")
#define VPCLMUL512 KIO_TARGET("pclmul,avx2,vpclmulqdq,avx512f,avx512bw,avx512vl")

PCLMUL KIO_INLINE __m128i load128(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

PCLMUL KIO_INLINE __m128i fold128(__m128i acc, __m128i by, __m128i next)
{
	return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(acc, by, 0x00),
					   _mm_clmulepi64_si128(acc, by, 0x11)),
			     next);
}

PCLMUL KIO_INLINE __m128i constant128(const uint64_t by[2])
{
	return _mm_set_epi64x((long long)by[1], (long long)by[0]);
}

/*
 * The rest of a message whose beginning is folded into acc: whole lanes, then
 * the tables.  With copy, everything read is also written to dst.
 */
PCLMUL KIO_INLINE uint32_t finish128(const struct crc_fold *f, crc_table t, __m128i acc, int copy,
				     uint8_t *dst, const uint8_t *src, size_t nbytes)
{
	const __m128i by128 = constant128(f->by128);
	uint8_t lane[16];

	for (; nbytes >= 16; src += 16, nbytes -= 16) {
		__m128i next = load128(src);

		if (copy) {
			_mm_storeu_si128((__m128i *)(void *)dst, next);
			dst += 16;
		}
		acc = fold128(acc, by128, next);
	}
	_mm_storeu_si128((__m128i *)(void *)lane, acc);
	if (copy)
		return crc_tables_copy(t, crc_tables(t, 0, lane, 16), dst, src, nbytes);
	return crc_tables(t, crc_tables(t, 0, lane, 16), src, nbytes);
}

PCLMUL KIO_INLINE uint32_t crc_pclmul(const struct crc_fold *f, crc_table t, uint32_t state,
				      int copy, uint8_t *dst, const uint8_t *src, size_t nbytes)
{
	__m128i a[4];

	if (nbytes < 32)
		return copy ? crc_tables_copy(t, state, dst, src, nbytes) :
			      crc_tables(t, state, src, nbytes);
	a[0] = _mm_xor_si128(load128(src), _mm_cvtsi32_si128((int)state));
	if (copy)
		_mm_storeu_si128((__m128i *)(void *)dst, load128(src));
	if (nbytes >= 128) {
		const __m128i by512 = constant128(f->by512), by128 = constant128(f->by128);

		for (int i = 1; i < 4; i++) {
			a[i] = load128(src + 16 * i);
			if (copy)
				_mm_storeu_si128((__m128i *)(void *)(dst + 16 * i), a[i]);
		}
		src += 64;
		dst += copy ? 64 : 0;
		nbytes -= 64;
		for (; nbytes >= 64; src += 64, nbytes -= 64) {
			for (int i = 0; i < 4; i++) {
				__m128i next = load128(src + 16 * i);

				if (copy)
					_mm_storeu_si128((__m128i *)(void *)(dst + 16 * i), next);
				a[i] = fold128(a[i], by512, next);
			}
			dst += copy ? 64 : 0;
		}
		for (int i = 1; i < 4; i++)
			a[0] = fold128(a[0], by128, a[i]);
	} else {
		src += 16;
		dst += copy ? 16 : 0;
		nbytes -= 16;
	}
	return finish128(f, t, a[0], copy, dst, src, nbytes);
}

VPCLMUL KIO_INLINE __m256i load256(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

VPCLMUL KIO_INLINE __m256i fold256(__m256i acc, __m256i by, __m256i next)
{
	return _mm256_xor_si256(_mm256_xor_si256(_mm256_clmulepi64_epi128(acc, by, 0x00),
						 _mm256_clmulepi64_epi128(acc, by, 0x11)),
				next);
}

VPCLMUL KIO_INLINE uint32_t crc_vpclmul(const struct crc_fold *f, crc_table t, uint32_t state,
					int copy, uint8_t *dst, const uint8_t *src, size_t nbytes)
{
	const __m256i by1024 = _mm256_broadcastsi128_si256(constant128(f->by1024));
	const __m256i by256 = _mm256_broadcastsi128_si256(constant128(f->by256));
	__m256i a[4];
	__m128i lane;

	if (nbytes < 256)
		return crc_pclmul(f, t, state, copy, dst, src, nbytes);
	for (int i = 0; i < 4; i++) {
		a[i] = load256(src + 32 * i);
		if (copy)
			_mm256_storeu_si256((__m256i *)(void *)(dst + 32 * i), a[i]);
	}
	a[0] = _mm256_xor_si256(a[0], _mm256_zextsi128_si256(_mm_cvtsi32_si128((int)state)));
	src += 128;
	dst += copy ? 128 : 0;
	nbytes -= 128;
	for (; nbytes >= 128; src += 128, nbytes -= 128) {
		for (int i = 0; i < 4; i++) {
			__m256i next = load256(src + 32 * i);

			if (copy)
				_mm256_storeu_si256((__m256i *)(void *)(dst + 32 * i), next);
			a[i] = fold256(a[i], by1024, next);
		}
		dst += copy ? 128 : 0;
	}
	for (int i = 1; i < 4; i++)
		a[0] = fold256(a[0], by256, a[i]);
	lane = fold128(_mm256_castsi256_si128(a[0]), constant128(f->by128),
		       _mm256_extracti128_si256(a[0], 1));
	return finish128(f, t, lane, copy, dst, src, nbytes);
}

VPCLMUL512 KIO_INLINE __m512i fold512(__m512i acc, __m512i by, __m512i next)
{
	/* 0x96: the exclusive or of all three */
	return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(acc, by, 0x00),
					 _mm512_clmulepi64_epi128(acc, by, 0x11), next, 0x96);
}

VPCLMUL512 KIO_INLINE uint32_t crc_vpclmul512(const struct crc_fold *f, crc_table t, uint32_t state,
					      int copy, uint8_t *dst, const uint8_t *src,
					      size_t nbytes)
{
	const __m512i by2048 = _mm512_broadcast_i32x4(constant128(f->by2048));
	const __m512i by512 = _mm512_broadcast_i32x4(constant128(f->by512));
	const __m128i by128 = constant128(f->by128);
	__m512i a[4];
	__m128i lane;

	if (nbytes < 512)
		return crc_pclmul(f, t, state, copy, dst, src, nbytes);
	for (int i = 0; i < 4; i++) {
		a[i] = _mm512_loadu_si512(src + 64 * i);
		if (copy)
			_mm512_storeu_si512(dst + 64 * i, a[i]);
	}
	a[0] = _mm512_xor_si512(a[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)state)));
	src += 256;
	dst += copy ? 256 : 0;
	nbytes -= 256;
	for (; nbytes >= 256; src += 256, nbytes -= 256) {
		for (int i = 0; i < 4; i++) {
			__m512i next = _mm512_loadu_si512(src + 64 * i);

			if (copy)
				_mm512_storeu_si512(dst + 64 * i, next);
			a[i] = fold512(a[i], by2048, next);
		}
		dst += copy ? 256 : 0;
	}
	for (int i = 1; i < 4; i++)
		a[0] = fold512(a[0], by512, a[i]);
	lane = _mm512_castsi512_si128(a[0]);
	lane = fold128(lane, by128, _mm512_extracti32x4_epi32(a[0], 1));
	lane = fold128(lane, by128, _mm512_extracti32x4_epi32(a[0], 2));
	lane = fold128(lane, by128, _mm512_extracti32x4_epi32(a[0], 3));
	return finish128(f, t, lane, copy, dst, src, nbytes);
}

/* The two rows of one algorithm: CRC, and CRC with copy. */
#define CRC_FOLD_ROWS(name, target)                                           \
	target static uint32_t name(uint32_t crc, const void *src, size_t nbytes) \
	{                                                                     \
		return ~crc_##name(&fold, tables, ~crc, 0, NULL, src, nbytes); \
	}                                                                     \
	target static uint32_t name##_copy(uint32_t crc, void *dst, const void *src, \
					   size_t nbytes)                     \
	{                                                                     \
		return ~crc_##name(&fold, tables, ~crc, 1, dst, src, nbytes); \
	}
CRC_FOLD_ROWS(pclmul, PCLMUL)
CRC_FOLD_ROWS(vpclmul, VPCLMUL)
CRC_FOLD_ROWS(vpclmul512, VPCLMUL512)
