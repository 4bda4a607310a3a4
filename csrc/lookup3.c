/*
 * lookup3.c - Bob Jenkins' hash, the checksum of HDF5 metadata
 *
 * Spec: http://burtleburtle.net/bob/c/lookup3.c (public domain), hashlittle();
 *       HDF5 file format specification, "Jenkins' lookup3 checksum".
 *
 * Spans are short (an object header), so there is one implementation.
 */
#include "kio.h"
#include "compiler.h"

static uint32_t rotate(uint32_t x, int k) { return x << k | x >> (32 - k); }

uint32_t kio_lookup3(const void *src, size_t nbytes, uint32_t initval)
{
	const uint8_t *p = src;
	uint8_t last[12] = { 0 };
	uint32_t a, b, c;

	a = b = c = 0xDEADBEEFu + (uint32_t)nbytes + initval;
	if (nbytes == 0)
		return c;

	/* The last 1 to 12 bytes, padded with zeros, are mixed differently. */
	for (; nbytes > 12; p += 12, nbytes -= 12) {
		a += kio_load32le(p);
		b += kio_load32le(p + 4);
		c += kio_load32le(p + 8);
		a -= c; a ^= rotate(c, 4);  c += b;
		b -= a; b ^= rotate(a, 6);  a += c;
		c -= b; c ^= rotate(b, 8);  b += a;
		a -= c; a ^= rotate(c, 16); c += b;
		b -= a; b ^= rotate(a, 19); a += c;
		c -= b; c ^= rotate(b, 4);  b += a;
	}
	memcpy(last, p, nbytes);
	a += kio_load32le(last);
	b += kio_load32le(last + 4);
	c += kio_load32le(last + 8);
	c ^= b; c -= rotate(b, 14);
	a ^= c; a -= rotate(c, 11);
	b ^= a; b -= rotate(a, 25);
	c ^= b; c -= rotate(b, 16);
	a ^= c; a -= rotate(c, 4);
	b ^= a; b -= rotate(a, 14);
	c ^= b; c -= rotate(b, 24);
	return c;
}
