/*
 * adler32.c - the checksum behind a zlib stream
 *
 * Spec: RFC 1950 sections 8.2 and 9.
 *
 *     a = 1 + p_0 + ... + p_(n-1)
 *     b = n + n p_0 + (n - 1) p_1 + ... + 1 p_(n-1)      both modulo 65521
 */
#include "kio.h"
#include "dispatch.h"

/*
 * BASE is the largest prime below 2^16.  NMAX bytes cannot overflow 32 bits:
 * 255 n (n + 1) / 2 + (n + 1) (BASE - 1) < 2^32.
 */
enum { BASE = 65521, NMAX = 5552 };

KIO_INLINE uint32_t adler_bytes(uint32_t adler, const uint8_t *p, size_t nbytes)
{
	uint32_t a = adler & 0xFFFF, b = adler >> 16;

	while (nbytes) {
		size_t n = nbytes < NMAX ? nbytes : NMAX;

		nbytes -= n;
		while (n--) {
			a += *p++;
			b += a;
		}
		a %= BASE;
		b %= BASE;
	}
	return b << 16 | a;
}

/*
 * Rows of COLUMNS bytes.  Each column keeps the sum of its bytes, and the sum
 * of those sums row by row; the columns are independent, so the compiler makes
 * vectors of them.  With ROWS rows both fit 16 bits: 255 ROWS (ROWS - 1) / 2.
 *
 *     b grows by  COLUMNS * sums_of_sums + sum of (COLUMNS - j) * sum_j
 */
enum { COLUMNS = 32, ROWS = 22 };

static uint32_t portable(uint32_t adler, const void *src, size_t nbytes)
{
	const uint8_t *p = src;

	for (; nbytes >= COLUMNS * ROWS; nbytes -= COLUMNS * ROWS) {
		uint16_t sum[COLUMNS] = { 0 }, sums[COLUMNS] = { 0 };
		uint32_t a = adler & 0xFFFF, b = adler >> 16;

		for (int row = 0; row < ROWS; row++, p += COLUMNS) {
			for (int j = 0; j < COLUMNS; j++) {
				sums[j] = (uint16_t)(sums[j] + sum[j]);
				sum[j] = (uint16_t)(sum[j] + p[j]);
			}
		}
		b += COLUMNS * ROWS * a;
		for (uint32_t j = 0; j < COLUMNS; j++) {
			a += sum[j];
			b += COLUMNS * sums[j] + (COLUMNS - j) * sum[j];
		}
		adler = b % BASE << 16 | a % BASE;
	}
	return adler_bytes(adler, p, nbytes);
}

#if KIO_SIMD_X86
#  include "x86/adler32_impl.h"
#endif

const struct kio_adler32_impl kio_adler32_impls[] = {
#if KIO_SIMD_X86
	{ "avx2", kio_runs_avx2, avx2 },
#endif
	{ "portable", kio_runs_always, portable },
};
KIO_DISPATCH(adler32, uint32_t, (uint32_t adler, const void *src, size_t nbytes),
	     (adler, src, nbytes))
