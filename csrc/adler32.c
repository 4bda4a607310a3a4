/*
 * adler32.c - the checksum behind a zlib stream
 *
 * Spec: RFC 1950 section 8.2 and 9.
 */
#include "kio.h"
#include "dispatch.h"

/* 65521, the largest prime below 2^16; NMAX bytes cannot overflow 32 bits:
 * 255 n (n + 1) / 2 + (n + 1) (BASE - 1) < 2^32. */
enum { BASE = 65521, NMAX = 5552 };

static uint32_t portable(uint32_t adler, const void *src, size_t nbytes)
{
	const uint8_t *p = src;
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

const struct kio_adler32_impl kio_adler32_impls[] = {
	{ "portable", kio_runs_always, portable },
};
KIO_DISPATCH(adler32, uint32_t, (uint32_t adler, const void *src, size_t nbytes),
	     (adler, src, nbytes))
