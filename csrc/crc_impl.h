/*
 * crc_impl.h - what a reflected 32-bit CRC needs whatever its polynomial
 *
 * Internal; included by crc32.c and crc32c.c.  A reflected CRC keeps the
 * coefficient of x^0 in bit 31: "times x" is a shift to the right.
 *
 * The functions work on the raw state, the complement of what callers see.
 */
#ifndef KIO_CRC_IMPL_H
#define KIO_CRC_IMPL_H

#include "compiler.h"

/*
 * Row k of a table holds, for each byte, the state after that byte and k zero
 * bytes.  The map is linear over GF(2), so the preprocessor derives all 256
 * entries of a row from those of 1, 2, 4 ... 128.
 */
#define CRC_AT(i, a, b, c, d, e, f, g, h)                                     \
	((((i) & 1) ? (a) : 0) ^ (((i) & 2) ? (b) : 0) ^ (((i) & 4) ? (c) : 0) ^ \
	 (((i) & 8) ? (d) : 0) ^ (((i) & 16) ? (e) : 0) ^ (((i) & 32) ? (f) : 0) ^ \
	 (((i) & 64) ? (g) : 0) ^ (((i) & 128) ? (h) : 0))
#define CRC_AT4(i, a, b, c, d, e, f, g, h)                                    \
	CRC_AT((i) + 0, a, b, c, d, e, f, g, h), CRC_AT((i) + 1, a, b, c, d, e, f, g, h),\
	CRC_AT((i) + 2, a, b, c, d, e, f, g, h), CRC_AT((i) + 3, a, b, c, d, e, f, g, h)
#define CRC_AT16(i, a, b, c, d, e, f, g, h)                                   \
	CRC_AT4((i) + 0, a, b, c, d, e, f, g, h), CRC_AT4((i) + 4, a, b, c, d, e, f, g, h),\
	CRC_AT4((i) + 8, a, b, c, d, e, f, g, h), CRC_AT4((i) + 12, a, b, c, d, e, f, g, h)
#define CRC_AT64(i, a, b, c, d, e, f, g, h)                                   \
	CRC_AT16((i) + 0, a, b, c, d, e, f, g, h), CRC_AT16((i) + 16, a, b, c, d, e, f, g, h),\
	CRC_AT16((i) + 32, a, b, c, d, e, f, g, h), CRC_AT16((i) + 48, a, b, c, d, e, f, g, h)
#define CRC_ROW(a, b, c, d, e, f, g, h)                                              \
	{ CRC_AT64(0, a, b, c, d, e, f, g, h), CRC_AT64(64, a, b, c, d, e, f, g, h),       \
	  CRC_AT64(128, a, b, c, d, e, f, g, h), CRC_AT64(192, a, b, c, d, e, f, g, h) }

typedef const uint32_t crc_table[16][256];

/*
 * Slicing by 16: sixteen bytes are sixteen independent look-ups, where the
 * byte-at-a-time loop is a chain.  M. Kounavis and F. Berry, "A Systematic
 * Approach to Building High Performance, Software-based, CRC Generators", 2005.
 */
KIO_INLINE uint32_t crc_tables(crc_table t, uint32_t state, const uint8_t *p, size_t nbytes)
{
	for (; nbytes >= 16; p += 16, nbytes -= 16) {
		uint32_t a = state ^ kio_load32le(p);
		uint32_t b = kio_load32le(p + 4);
		uint32_t c = kio_load32le(p + 8);
		uint32_t d = kio_load32le(p + 12);

		state = t[15][a & 0xFF] ^ t[14][a >> 8 & 0xFF] ^
			t[13][a >> 16 & 0xFF] ^ t[12][a >> 24] ^
			t[11][b & 0xFF] ^ t[10][b >> 8 & 0xFF] ^
			t[9][b >> 16 & 0xFF] ^ t[8][b >> 24] ^
			t[7][c & 0xFF] ^ t[6][c >> 8 & 0xFF] ^
			t[5][c >> 16 & 0xFF] ^ t[4][c >> 24] ^
			t[3][d & 0xFF] ^ t[2][d >> 8 & 0xFF] ^
			t[1][d >> 16 & 0xFF] ^ t[0][d >> 24];
	}
	while (nbytes--)
		state = (state >> 8) ^ t[0][(state ^ *p++) & 0xFF];
	return state;
}

/*
 * Copy and CRC in blocks that stay in the first-level cache between the two,
 * for machines without a folding kernel.  The CRC is taken of the copy.
 */
KIO_INLINE uint32_t crc_tables_copy(crc_table t, uint32_t state, uint8_t *dst, const uint8_t *src,
				    size_t nbytes)
{
	while (nbytes) {
		size_t n = nbytes < 8192 ? nbytes : 8192;

		memcpy(dst, src, n);
		state = crc_tables(t, state, dst, n);
		dst += n;
		src += n;
		nbytes -= n;
	}
	return state;
}

/*
 * a * b modulo the polynomial.  Bit by bit, b is multiplied by x 32 times, each
 * step waiting for the one before; so b x^8, b x^16 and b x^24 come from the
 * tables and the four run side by side, eight steps each.
 */
KIO_INLINE uint32_t crc_multiply(crc_table t, uint32_t poly, uint32_t a, uint32_t b)
{
	uint32_t product = 0, shifted[4];

	shifted[0] = b;
	for (int k = 1; k < 4; k++)
		shifted[k] = (shifted[k - 1] >> 8) ^ t[0][shifted[k - 1] & 0xFF];
	for (int i = 0; i < 8; i++, a <<= 1) {
		for (int k = 0; k < 4; k++) {
			product ^= shifted[k] & (0u - (a >> (31 - 8 * k) & 1));
			shifted[k] = (shifted[k] >> 1) ^ (poly & (0u - (shifted[k] & 1)));
		}
	}
	return product;
}

/*
 * CRC of A||B = crc1 * x^(8 * nbytes2) + crc2: appending B's bytes multiplies
 * A's polynomial by that power, and the pre- and post-complements cancel.
 * powers[k] = x^(2^k); the sequence repeats after `period` squarings.
 */
KIO_INLINE uint32_t crc_combine(crc_table t, uint32_t poly, const uint32_t *powers, unsigned period,
				uint32_t crc1, uint32_t crc2, uint64_t nbytes2)
{
	for (unsigned k = 3; nbytes2; k++, nbytes2 >>= 1)
		if (nbytes2 & 1)
			crc1 = crc_multiply(t, poly, crc1, powers[k % period]);
	return crc1 ^ crc2;
}

/*
 * Folding: a 16-byte lane L of the message, D bits before lane M, can be
 * replaced by M + L * x^D modulo the polynomial.  L is two 64-bit halves, so
 * that is two carry-less multiplications by 64-bit constants:
 *
 *     low half   stands for x^64 and up     constant x^(D + 63)
 *     high half  stands for x^0 and up      constant x^(D - 1)
 *
 * The missing factor x: the product of two reflected 64-bit polynomials has
 * 127 bits, and as a reflected 128-bit number it is shifted down by one place.
 * Both constants, reduced to 32 bits and reflected, sit in the upper half of
 * 64.  byD[0] is for the low half.
 */
struct crc_fold {
	uint64_t by128[2], by256[2], by512[2], by1024[2], by2048[2];
};

#endif /* KIO_CRC_IMPL_H */
