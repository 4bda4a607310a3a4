/*
 * fletcher32.c - the checksum of HDF5's filter 3
 *
 * Spec: HDF5 file format specification, filter 3; the exact folding is that of
 * H5_checksum_fletcher32() in H5checksum.c.
 *
 * Over n words w_0 ... w_(n-1):
 *     sum1 = w_0 + ... + w_(n-1)
 *     sum2 = n w_0 + (n - 1) w_1 + ... + 1 w_(n-1)
 * both modulo 65535, where folding carries (x & 0xffff) + (x >> 16) turns a
 * non-zero multiple of 65535 into 0xFFFF, never into 0.
 *
 * Exchanging the bytes of a 16-bit word rotates it by 8, which modulo 65535 is
 * a multiplication by 256.  So the sums are taken of the words as they lie in
 * memory, and on a little-endian machine multiplied by 256 in the end.
 */
#include "kio.h"
#include "dispatch.h"

/*
 * Rows of LANES words.  Each lane keeps the sum of its words, and the sum of
 * those sums row by row; lanes are independent, so the compiler makes vectors
 * of them.  65535 ROWS (ROWS + 1) / 2 < 2^32.
 */
enum { LANES = 32, ROWS = 256 };

/* Modulo 65535 to 16 bits; 0 only from 0. */
KIO_INLINE uint64_t fold(uint64_t sum)
{
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (sum & 0xFFFF) + (sum >> 16);
}

KIO_INLINE uint32_t fletcher(const uint8_t *p, size_t nbytes)
{
	uint64_t sum1 = 0, sum2 = 0;
	size_t nwords = nbytes / 2;

	while (nwords >= LANES) {
		size_t nrows = nwords / LANES < ROWS ? nwords / LANES : ROWS;
		uint32_t sum[LANES] = { 0 }, sums[LANES] = { 0 };

		sum2 += sum1 * nrows * LANES;
		nwords -= nrows * LANES;
		for (size_t row = 0; row < nrows; row++, p += LANES * 2) {
			for (int j = 0; j < LANES; j++) {
				sums[j] += sum[j];
				sum[j] += kio_load16(p + 2 * j);
			}
		}
		for (unsigned j = 0; j < LANES; j++) {
			sum1 += sum[j];
			sum2 += (uint64_t)LANES * sums[j] + (uint64_t)(LANES - j) * sum[j];
		}
		sum1 = fold(sum1);
		sum2 = fold(sum2);
	}
	for (; nwords > 0; nwords--, p += 2) {
		sum1 += kio_load16(p);
		sum2 += sum1;
	}
	if (KIO_LITTLE_ENDIAN) {
		sum1 = fold(sum1) << 8;
		sum2 = fold(sum2) << 8;
	}
	if (nbytes % 2) {
		sum1 += (uint64_t)*p << 8;
		sum2 += sum1;
	}
	return (uint32_t)(fold(sum2) << 16 | fold(sum1));
}

static uint32_t portable(const void *src, size_t nbytes) { return fletcher(src, nbytes); }
#if KIO_SIMD_X86
KIO_TARGET("avx2") static uint32_t avx2(const void *src, size_t nbytes)
{
	return fletcher(src, nbytes);
}
#endif

uint32_t kio_fletcher32_old(uint32_t fletcher32)
{
	return (fletcher32 & 0x00FF00FFu) << 8 | (fletcher32 >> 8 & 0x00FF00FFu);
}

const struct kio_fletcher32_impl kio_fletcher32_impls[] = {
#if KIO_SIMD_X86
	{ "avx2", kio_runs_avx2, avx2 },
#endif
	{ "portable", kio_runs_always, portable },
};
KIO_DISPATCH(fletcher32, uint32_t, (const void *src, size_t nbytes), (src, nbytes))
