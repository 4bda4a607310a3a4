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
 */
#include "kio.h"
#include "dispatch.h"

static uint64_t fold(uint64_t sum) { return (sum & 0xFFFF) + (sum >> 16); }

static uint32_t portable(const void *src, size_t nbytes)
{
	const uint8_t *p = src;
	uint64_t sum1 = 0, sum2 = 0;
	size_t nwords = nbytes / 2;

	while (nwords) {
		size_t n = nwords < 65536 ? nwords : 65536;

		nwords -= n;
		for (; n--; p += 2) {
			sum1 += (uint32_t)(p[0] << 8 | p[1]);
			sum2 += sum1;
		}
		sum1 = fold(fold(fold(sum1)));
		sum2 = fold(fold(fold(sum2)));
	}
	if (nbytes % 2) {
		sum1 += (uint32_t)(*p << 8);
		sum2 += sum1;
	}
	sum1 = fold(fold(sum1));
	sum2 = fold(fold(sum2));
	return (uint32_t)(sum2 << 16 | sum1);
}

uint32_t kio_fletcher32_old(uint32_t fletcher32)
{
	return (fletcher32 & 0x00FF00FFu) << 8 | (fletcher32 >> 8 & 0x00FF00FFu);
}

const struct kio_fletcher32_impl kio_fletcher32_impls[] = {
	{ "portable", kio_runs_always, portable },
};
KIO_DISPATCH(fletcher32, uint32_t, (const void *src, size_t nbytes), (src, nbytes))
