/*
 * x86/adler32_impl.h - Adler-32, 64 bytes a turn; included by adler32.c
 *
 * As the portable rows, but the bytes of a row are summed at once (PSADBW) and
 * weighted 64, 63 ... 1 at once (PMADDUBSW, whose pairs stay below 2^15:
 * 255 * (64 + 63) = 32,385).
 */
#include <immintrin.h>

KIO_TARGET("avx2") KIO_INLINE uint32_t sum_of_lanes(__m256i v)
{
	__m128i x = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
	x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0xB1));
	return (uint32_t)_mm_cvtsi128_si32(x);
}

KIO_TARGET("avx2") static uint32_t avx2(uint32_t adler, const void *src, size_t nbytes)
{
	enum { ROW = 64, ROWS_MAX = NMAX / ROW };
	const __m256i zero = _mm256_setzero_si256(), ones = _mm256_set1_epi16(1);
	const __m256i ramp = _mm256_setr_epi8(32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,
					      18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
					      3, 2, 1);
	const __m256i weights_low = _mm256_add_epi8(ramp, _mm256_set1_epi8(32));
	const uint8_t *p = src;
	uint32_t a = adler & 0xFFFF, b = adler >> 16;

	while (nbytes >= ROW) {
		size_t nrows = nbytes / ROW < ROWS_MAX ? nbytes / ROW : ROWS_MAX;
		__m256i sum = zero, sums = zero, weighted = zero;

		b += (uint32_t)(nrows * ROW) * a;
		nbytes -= nrows * ROW;
		for (; nrows > 0; nrows--, p += ROW) {
			__m256i low = _mm256_loadu_si256((const __m256i *)(const void *)p);
			__m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));

			sums = _mm256_add_epi32(sums, sum);
			sum = _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_sad_epu8(low, zero),
								     _mm256_sad_epu8(high, zero)));
			weighted = _mm256_add_epi32(
				weighted, _mm256_madd_epi16(_mm256_maddubs_epi16(low, weights_low), ones));
			weighted = _mm256_add_epi32(
				weighted, _mm256_madd_epi16(_mm256_maddubs_epi16(high, ramp), ones));
		}
		a = (a + sum_of_lanes(sum)) % BASE;
		b = (b + ROW * sum_of_lanes(sums) + sum_of_lanes(weighted)) % BASE;
	}
	return adler_bytes(b << 16 | a, p, nbytes);
}
