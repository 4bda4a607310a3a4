/*
 * inflate.c - raw deflate and its zlib wrapper, whole buffers
 *
 * Used by: HDF5's deflate filter, deflated zip members.
 * Spec: RFC 1951 (deflate), RFC 1950 (zlib); which broken Huffman codes are
 *       errors follows zlib 1.3, inftrees.c.
 *
 *     stream   block+                    bits from the low end of each byte
 *     block    last:1 type:2 ...
 *       type 0 pad to byte, LEN:16, ~LEN:16, LEN bytes
 *       type 1 fixed codes, symbols
 *       type 2 HLIT:5 HDIST:5 HCLEN:4, code lengths, symbols
 *     symbol   literal 0-255 | 256 end of block | length 257-285 + extra, distance 0-29 + extra
 *
 * Where the speed comes from:
 *   - one table look-up decodes a symbol, its code length and its extra bits'
 *     number together; short literals come up to three in one entry;
 *   - the bit buffer is 64 bits wide and refilled without a branch;
 *   - a match is copied 16 bytes at a time, past its end;
 *   - all three need room to overrun, so the fast loop runs while plenty of
 *     input and output is left, and a careful loop does the rest.
 */
#include "kio.h"
#include "dispatch.h"

/*
 * A table entry.  `consume` is how far the entry moves the bit buffer.
 *
 *     bits   0-5       6-7        8-13      14        15          16-31
 *     literals
 *            consume   1, 2 or 3  first literal       second, third literal
 *     length, distance
 *            consume   0          codeword  0         0           base
 *     pointer to a subtable
 *            consume   0          its bits  SUBTABLE  EXCEPTION   its index
 *     end of block, invalid
 *            consume   0          codeword  0         EXCEPTION   1, 0
 *
 * For lengths and distances `consume` counts the codeword and the extra bits
 * after it.  Shifting by an entry needs only `& 63`, which CPUs do for free.
 */
typedef uint32_t entry;

#define LITERALS ((entry)3 << 6)
#define SUBTABLE ((entry)1 << 14)
#define EXCEPTION ((entry)1 << 15)
#define ONE_LITERAL(value) ((entry)1 << 6 | (entry)(value) << 8)
#define BASE(base, extra) ((entry)(base) << 16 | (entry)(extra))
#define END_OF_BLOCK (EXCEPTION | (entry)1 << 16)
#define INVALID EXCEPTION

enum {
	NLITLEN = 288, /* 286 and 287 exist in the fixed code only, and mean nothing */
	NDIST = 32,    /* likewise 30 and 31 */
	NPRECODE = 19,
	MAX_CODEWORD = 15,
	LITLEN_BITS = 11,
	DIST_BITS = 8,
	PRECODE_BITS = 7,
	/* The largest tables that complete codes can need with these widths of
	 * the first level: zlib's examples/enough.c, 288 11 15 and 32 8 15. */
	LITLEN_ENTRIES = 2342,
	DIST_ENTRIES = 402,
	PRECODE_ENTRIES = 1 << PRECODE_BITS
};

enum { LITLEN_MASK = (1 << LITLEN_BITS) - 1, DIST_MASK = (1 << DIST_BITS) - 1 };

/* What the fast loop may overrun in one turn: four look-ups of up to three
 * literals, a match of 258, and 64 bytes of stride; four refills of 8 bytes. */
enum { OUT_MARGIN = 16 + 258 + 64, IN_MARGIN = 32 };

struct decoder {
	/* input */
	const uint8_t *in, *in_end;
	uint64_t hold;  /* the next bits, lowest first */
	unsigned nbits; /* how many of them are valid; the rest are 0 */
	/* output */
	uint8_t *begin, *out, *out_end;
	/* the block's codes */
	int fixed; /* the tables hold the fixed codes */
	entry litlen[LITLEN_ENTRIES];
	entry dist[DIST_ENTRIES];
	entry precode[PRECODE_ENTRIES];
	uint8_t lengths[NLITLEN + NDIST + 137]; /* a run may overshoot before it is refused */
	uint16_t sorted[NLITLEN];
};

/* ------------------------------------------------------------------------ codes */

/* What each symbol stands for (RFC 1951, 3.2.5): entries without their codewords. */
#define LITERALS4(n) ONE_LITERAL(n), ONE_LITERAL(n + 1), ONE_LITERAL(n + 2), ONE_LITERAL(n + 3)
#define LITERALS16(n) LITERALS4(n), LITERALS4(n + 4), LITERALS4(n + 8), LITERALS4(n + 12)
#define LITERALS64(n) LITERALS16(n), LITERALS16(n + 16), LITERALS16(n + 32), LITERALS16(n + 48)

static const entry litlen_symbols[NLITLEN] = {
	LITERALS64(0), LITERALS64(64), LITERALS64(128), LITERALS64(192),
	END_OF_BLOCK,
	BASE(3, 0), BASE(4, 0), BASE(5, 0), BASE(6, 0), BASE(7, 0), BASE(8, 0), BASE(9, 0),
	BASE(10, 0), BASE(11, 1), BASE(13, 1), BASE(15, 1), BASE(17, 1), BASE(19, 2), BASE(23, 2),
	BASE(27, 2), BASE(31, 2), BASE(35, 3), BASE(43, 3), BASE(51, 3), BASE(59, 3), BASE(67, 4),
	BASE(83, 4), BASE(99, 4), BASE(115, 4), BASE(131, 5), BASE(163, 5), BASE(195, 5),
	BASE(227, 5), BASE(258, 0), INVALID, INVALID
};

static const entry dist_symbols[NDIST] = {
	BASE(1, 0), BASE(2, 0), BASE(3, 0), BASE(4, 0), BASE(5, 1), BASE(7, 1), BASE(9, 2),
	BASE(13, 2), BASE(17, 3), BASE(25, 3), BASE(33, 4), BASE(49, 4), BASE(65, 5), BASE(97, 5),
	BASE(129, 6), BASE(193, 6), BASE(257, 7), BASE(385, 7), BASE(513, 8), BASE(769, 8),
	BASE(1025, 9), BASE(1537, 9), BASE(2049, 10), BASE(3073, 10), BASE(4097, 11),
	BASE(6145, 11), BASE(8193, 12), BASE(12289, 12), BASE(16385, 13), BASE(24577, 13),
	INVALID, INVALID
};

static const entry precode_symbols[NPRECODE] = {
	BASE(0, 0), BASE(1, 0), BASE(2, 0), BASE(3, 0), BASE(4, 0), BASE(5, 0), BASE(6, 0),
	BASE(7, 0), BASE(8, 0), BASE(9, 0), BASE(10, 0), BASE(11, 0), BASE(12, 0), BASE(13, 0),
	BASE(14, 0), BASE(15, 0), BASE(16, 0), BASE(17, 0), BASE(18, 0)
};

/* Adds a codeword of n bits to a symbol's entry. */
KIO_INLINE entry with_codeword(entry symbol, unsigned n)
{
	return symbol + (symbol & LITERALS ? n : n * 0x101);
}

/*
 * The codeword after `codeword` among those of n bits, both bit-reversed as
 * the stream has them: a carry that runs from the top down.  The last one wraps
 * to 0.
 */
KIO_INLINE unsigned next_reversed(unsigned codeword, unsigned n)
{
	unsigned bit = 1u << (n - 1);

	while (codeword & bit) {
		codeword ^= bit;
		bit >>= 1;
	}
	return codeword | bit;
}

/*
 * Build the table of the canonical code with these codeword lengths, 0 for
 * absent symbols.  Returns 1, or 0 for a code that zlib refuses: more
 * codewords than there is room for, or fewer, except that literal/length and
 * distance codes may be a single codeword of one bit (loose), whose sibling is
 * then invalid; and a distance code may be empty if no match follows.
 */
static int build(struct decoder *d, entry *table, unsigned table_bits, unsigned nentries,
		 const uint8_t *lengths, unsigned nsymbols, const entry *symbols, int loose)
{
	unsigned ncodes[MAX_CODEWORD + 1] = { 0 }, first[MAX_CODEWORD + 2];
	unsigned n, i, nused, longest = MAX_CODEWORD, codeword = 0, filled;
	int room = 1;

	for (i = 0; i < nsymbols; i++)
		ncodes[lengths[i]]++;
	nused = nsymbols - ncodes[0];
	ncodes[0] = 0;
	while (longest > 0 && ncodes[longest] == 0)
		longest--;
	for (n = 1; n <= MAX_CODEWORD; n++) {
		room = room * 2 - (int)ncodes[n];
		if (room < 0)
			return 0;
	}
	if (room > 0) {
		if (!loose || longest > 1)
			return 0;
		for (i = 0; i < 1u << table_bits; i++)
			table[i] = with_codeword(INVALID, 1);
		if (longest == 0)
			return 1;
	}

	/* Sort the symbols by codeword length, stable: canonical order. */
	first[1] = 0;
	for (n = 1; n <= MAX_CODEWORD; n++)
		first[n + 1] = first[n] + ncodes[n];
	for (i = 0; i < nsymbols; i++)
		if (lengths[i])
			d->sorted[first[lengths[i]]++] = (uint16_t)i;

	if (room > 0) { /* the single codeword is 0 */
		for (i = 0; i < 1u << table_bits; i += 2)
			table[i] = with_codeword(symbols[d->sorted[0]], 1);
		return 1;
	}

	/*
	 * First level.  While codewords of n bits are being entered the table
	 * is 2^n entries; for n + 1 it doubles, which repeats every entry at
	 * all indices whose low bits are its codeword.
	 */
	i = 0;
	filled = 1;
	for (n = 1; n <= table_bits; n++) {
		if (i > 0)
			memcpy(table + filled, table, filled * sizeof(*table));
		filled *= 2;
		for (unsigned left = ncodes[n]; left > 0; left--, i++) {
			table[codeword] = with_codeword(symbols[d->sorted[i]], n);
			codeword = next_reversed(codeword, n);
		}
	}

	/* Second level: one subtable for each first-level index that a longer
	 * codeword starts with, just wide enough for the codewords it holds. */
	if (i < nused) {
		unsigned mask = (1u << table_bits) - 1, prefix = ~0u;
		unsigned start = 0, bits = 0, next = 1u << table_bits;

		for (n = table_bits + 1; i < nused; n++) {
			for (unsigned left = ncodes[n]; left > 0; left--, i++) {
				entry e;

				if ((codeword & mask) != prefix) {
					int free_slots;

					prefix = codeword & mask;
					start = next;
					bits = n - table_bits;
					free_slots = (1 << bits) - (int)left;
					while (free_slots > 0 && bits + table_bits < longest) {
						bits++;
						free_slots = free_slots * 2 -
							     (int)ncodes[table_bits + bits];
					}
					next += 1u << bits;
					if (next > nentries)
						return 0; /* cannot be; stops a write past the table */
					table[prefix] = SUBTABLE | EXCEPTION | (entry)start << 16 |
							bits << 8 | table_bits;
				}
				e = with_codeword(symbols[d->sorted[i]], n - table_bits);
				for (unsigned k = codeword >> table_bits; k < 1u << bits;
				     k += 1u << (n - table_bits))
					table[start + k] = e;
				codeword = next_reversed(codeword, n);
			}
		}
	}
	return 1;
}

/*
 * Let first-level entries of one literal take along the one or two literals
 * that follow, where the index holds all their bits.  From the last index down:
 * what follows index i is at i >> consume, which is smaller and so still single.
 */
static void pack_literals(entry *table)
{
	for (unsigned i = 1u << LITLEN_BITS; i-- > 0;) {
		entry a = table[i], b, c;
		unsigned used;

		if (!(a & LITERALS))
			continue;
		used = a & 63;
		b = table[i >> used];
		if (!(b & LITERALS) || used + (b & 63) > LITLEN_BITS)
			continue;
		used += b & 63;
		a = (a & 0xFF00) | (b & 0xFF00) << 8 | 2 << 6 | used;
		c = table[i >> used];
		if ((c & LITERALS) && used + (c & 63) <= LITLEN_BITS)
			a = (a & 0xFFFF00) | (c & 0xFF00) << 16 | 3 << 6 | (used + (c & 63));
		table[i] = a;
	}
}

/*
 * Whether packing pays for itself.  A codeword of n bits says that its symbol
 * has a share of 2^-n, so the share of symbols that are a literal, followed by
 * a literal, and fit one index, is the sum of 2^-(m + n) over such pairs.  The
 * break-even is near a half: benchmarks/kernels.py, inflate.
 */
static int packs_well(const uint8_t *lengths)
{
	unsigned nliterals[MAX_CODEWORD + 1] = { 0 }, pairs = 0;

	for (unsigned i = 0; i < 256; i++)
		nliterals[lengths[i]]++;
	for (unsigned m = 1; m < LITLEN_BITS; m++)
		for (unsigned n = 1; m + n <= LITLEN_BITS; n++)
			pairs += nliterals[m] * nliterals[n] << (LITLEN_BITS - m - n);
	return pairs > 1u << (LITLEN_BITS - 1);
}

/* ------------------------------------------------------------------- bit buffer */

/* To 57 bits or more; at the end of input the missing ones read as 0. */
static void refill(struct decoder *d)
{
	if (d->nbits > 56)
		return;
	if (d->in_end - d->in >= 8) {
		unsigned n = (63 - d->nbits) & 56;

		d->hold |= (kio_load64le(d->in) & (((uint64_t)1 << n) - 1)) << d->nbits;
		d->in += n >> 3;
		d->nbits += n;
		return;
	}
	while (d->nbits <= 56 && d->in < d->in_end) {
		d->hold |= (uint64_t)*d->in++ << d->nbits;
		d->nbits += 8;
	}
}

KIO_INLINE void consume(struct decoder *d, unsigned n)
{
	d->hold >>= n;
	d->nbits -= n;
}

/* ----------------------------------------------------------------------- blocks */

static enum kio_status stored_block(struct decoder *d)
{
	size_t n, in_left, out_left;
	enum kio_status status = KIO_OK;

	/* The rest of this byte is padding; whole bytes go back to the input. */
	d->in -= d->nbits >> 3;
	d->hold = d->nbits = 0;
	in_left = (size_t)(d->in_end - d->in);
	if (in_left < 4) {
		d->in = d->in_end;
		return KIO_TRUNCATED;
	}
	n = d->in[0] | (size_t)d->in[1] << 8;
	if ((n ^ 0xFFFF) != (d->in[2] | (size_t)d->in[3] << 8))
		return KIO_CORRUPT;
	d->in += 4;
	in_left -= 4;
	out_left = (size_t)(d->out_end - d->out);
	if (n > in_left) {
		n = in_left;
		status = KIO_TRUNCATED;
	}
	if (n > out_left) {
		n = out_left;
		status = KIO_LIMIT;
	}
	if (n > 0)
		memcpy(d->out, d->in, n);
	d->in += n;
	d->out += n;
	return status;
}

static void fixed_codes(struct decoder *d)
{
	if (d->fixed)
		return;
	memset(d->lengths, 8, 144);
	memset(d->lengths + 144, 9, 112);
	memset(d->lengths + 256, 7, 24);
	memset(d->lengths + 280, 8, 8);
	memset(d->lengths + NLITLEN, 5, NDIST);
	build(d, d->litlen, LITLEN_BITS, LITLEN_ENTRIES, d->lengths, NLITLEN, litlen_symbols, 0);
	build(d, d->dist, DIST_BITS, DIST_ENTRIES, d->lengths + NLITLEN, NDIST, dist_symbols, 0);
	d->fixed = 1;
}

static enum kio_status dynamic_codes(struct decoder *d)
{
	static const uint8_t order[NPRECODE] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5,
						 11, 4, 12, 3, 13, 2, 14, 1, 15 };
	uint8_t small[NPRECODE] = { 0 };
	unsigned hlit, hdist, hclen, i;

	d->fixed = 0;
	refill(d);
	if (d->nbits < 14)
		return KIO_TRUNCATED;
	hlit = 257 + (d->hold & 31);
	hdist = 1 + (d->hold >> 5 & 31);
	hclen = 4 + (d->hold >> 10 & 15);
	consume(d, 14);
	if (hlit > 286 || hdist > 30)
		return KIO_CORRUPT;
	for (i = 0; i < hclen; i++) {
		refill(d);
		if (d->nbits < 3)
			return KIO_TRUNCATED;
		small[order[i]] = d->hold & 7;
		consume(d, 3);
	}
	if (!build(d, d->precode, PRECODE_BITS, PRECODE_ENTRIES, small, NPRECODE, precode_symbols, 0))
		return KIO_CORRUPT;

	for (i = 0; i < hlit + hdist;) {
		unsigned symbol, n;
		entry e;

		refill(d);
		e = d->precode[d->hold & (PRECODE_ENTRIES - 1)];
		symbol = e >> 16;
		/* 16: repeat the last 3 + 2 bits; 17: zeros 3 + 3 bits; 18: zeros 11 + 7 bits */
		n = (e & 63) + (symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7);
		if (n > d->nbits)
			return KIO_TRUNCATED;
		consume(d, e & 63);
		if (symbol < 16) {
			d->lengths[i++] = (uint8_t)symbol;
			continue;
		}
		if (symbol == 16) {
			if (i == 0)
				return KIO_CORRUPT;
			n = 3 + (d->hold & 3);
			memset(d->lengths + i, d->lengths[i - 1], n);
			consume(d, 2);
		} else if (symbol == 17) {
			n = 3 + (d->hold & 7);
			memset(d->lengths + i, 0, n);
			consume(d, 3);
		} else {
			n = 11 + (d->hold & 127);
			memset(d->lengths + i, 0, n);
			consume(d, 7);
		}
		i += n;
	}
	/* A run beyond the last symbol; a block that could not end. */
	if (i > hlit + hdist || d->lengths[256] == 0)
		return KIO_CORRUPT;
	if (!build(d, d->dist, DIST_BITS, DIST_ENTRIES, d->lengths + hlit, hdist, dist_symbols, 1) ||
	    !build(d, d->litlen, LITLEN_BITS, LITLEN_ENTRIES, d->lengths, hlit, litlen_symbols, 1))
		return KIO_CORRUPT;
	/* It costs as much as some thousand symbols, so not for the last few. */
	if (d->out_end - d->out > 8192 && packs_well(d->lengths))
		pack_literals(d->litlen);
	return KIO_OK;
}

/* ---------------------------------------------------------------------- symbols */

/* The extra bits' value: `e` was read from the low end of `bits`. */
KIO_INLINE unsigned value_of(entry e, uint64_t bits)
{
	return (unsigned)(e >> 16) +
	       (unsigned)((bits & (((uint64_t)1 << (e & 63)) - 1)) >> (e >> 8 & 63));
}

/*
 * One symbol at a time, every bound checked, to the end of the block.  The
 * bits beyond the input are 0 and may decode to anything, so a symbol counts
 * only if all its bits were there.
 */
static enum kio_status careful_symbols(struct decoder *d)
{
	for (;;) {
		uint64_t saved;
		unsigned n, back;
		entry e;

		refill(d);
		e = d->litlen[d->hold & LITLEN_MASK];
		if ((e & 63) > d->nbits)
			return KIO_TRUNCATED;
		if (!(e & LITERALS) && (e & SUBTABLE)) {
			consume(d, e & 63);
			e = d->litlen[(e >> 16) + (d->hold & ((1u << (e >> 8 & 63)) - 1))];
			if ((e & 63) > d->nbits)
				return KIO_TRUNCATED;
		}
		saved = d->hold;
		consume(d, e & 63);
		if (e & LITERALS) {
			for (n = e >> 6 & 3, e >>= 8; n > 0; n--, e >>= 8) {
				if (d->out == d->out_end)
					return KIO_LIMIT;
				*d->out++ = (uint8_t)e;
			}
			continue;
		}
		if (e & EXCEPTION)
			return e >> 16 ? KIO_OK : KIO_CORRUPT;
		n = value_of(e, saved);

		e = d->dist[d->hold & DIST_MASK];
		if ((e & 63) > d->nbits)
			return KIO_TRUNCATED;
		if (e & SUBTABLE) {
			consume(d, e & 63);
			e = d->dist[(e >> 16) + (d->hold & ((1u << (e >> 8 & 63)) - 1))];
			if ((e & 63) > d->nbits)
				return KIO_TRUNCATED;
		}
		if (e & EXCEPTION)
			return KIO_CORRUPT;
		saved = d->hold;
		consume(d, e & 63);
		back = value_of(e, saved);
		if (back > (size_t)(d->out - d->begin))
			return KIO_CORRUPT;
		for (; n > 0; n--, d->out++) {
			if (d->out == d->out_end)
				return KIO_LIMIT;
			*d->out = *(d->out - back);
		}
	}
}

struct sixteen { uint8_t bytes[16]; };

KIO_INLINE void copy16(uint8_t *to, const uint8_t *from)
{
	struct sixteen v;

	memcpy(&v, from, 16);
	memcpy(to, &v, 16);
}

/*
 * Copy a match of n bytes from `back` bytes before `out`; may write up to 48
 * bytes past its end.
 */
KIO_INLINE void copy_match(uint8_t *out, unsigned back, unsigned n)
{
	const uint8_t *from = out - back;
	uint8_t *end = out + n;

	if (KIO_LIKELY(back >= 16)) {
		copy16(out, from);
		copy16(out + 16, from + 16);
		if (KIO_UNLIKELY(n > 32)) {
			do {
				out += 32;
				from += 32;
				copy16(out, from);
				copy16(out + 16, from + 16);
			} while (end - out > 32);
		}
		return;
	}
	if (back == 1) {
		struct sixteen v;

		memset(&v, *from, 16);
		do {
			memcpy(out, &v, 16);
			memcpy(out + 16, &v, 16);
			out += 32;
		} while (out < end);
		return;
	}
	/* The output repeats with period `back`: write one period, after which
	 * the distance to the same bytes has doubled, until it is a stride. */
	while (back < 8) {
		kio_store64(out, kio_load64(from));
		if (end - out <= (ptrdiff_t)back)
			return;
		out += back;
		back *= 2;
	}
	do {
		kio_store64(out, kio_load64(from));
		kio_store64(out + 8, kio_load64(from + 8));
		out += 16;
		from += 16;
	} while (out < end);
}

#define CONSUME(e) (hold >>= (e) & 63, nbits -= (e))

/* Leaves 56 to 63 bits valid.  The bits of hold above nbits are the stream's
 * too, so they may be or-ed in again; nbits is right in its low six bits. */
#define REFILL()                                                              \
	(hold |= kio_load64le(in) << (nbits & 63), in += (~nbits >> 3) & 7, nbits |= 56)

/*
 * Symbols without bounds checks, while OUT_MARGIN and IN_MARGIN allow a turn.
 * Sets *ended_out when the block's end was read.
 */
KIO_INLINE enum kio_status fast_symbols(struct decoder *d, int *ended_out)
{
	const uint8_t *in = d->in, *in_stop;
	uint8_t *out = d->out, *begin = d->begin, *out_stop;
	uint64_t hold = d->hold, saved;
	unsigned nbits = d->nbits, n, back;
	enum kio_status status = KIO_OK;
	entry e;

	*ended_out = 0;
	if (d->in_end - in < IN_MARGIN || d->out_end - out < OUT_MARGIN)
		return KIO_OK;
	in_stop = d->in_end - IN_MARGIN;
	out_stop = d->out_end - OUT_MARGIN;

	REFILL();
	e = d->litlen[hold & LITLEN_MASK];
	do {
		/* Here 56 bits are valid and none of e's are consumed. */
		if (e & LITERALS) {
#define TAKE_LITERALS()                                                       \
	(CONSUME(e), kio_store32le(out, e >> 8), out += (e >> 6) & 3,         \
	 e = d->litlen[hold & LITLEN_MASK])
			TAKE_LITERALS();
			if (e & LITERALS) {
				TAKE_LITERALS();
				if (e & LITERALS) {
					TAKE_LITERALS();
					if (e & LITERALS) {
						TAKE_LITERALS();
						/* 12 bits may be left: e, an index of 11, is right. */
						REFILL();
						continue;
					}
				}
			}
			REFILL();
		}
		if (KIO_UNLIKELY(e & EXCEPTION)) {
			if (e & SUBTABLE) {
				CONSUME(e);
				e = d->litlen[(e >> 16) + (hold & ((1u << (e >> 8 & 63)) - 1))];
			}
			if (e & LITERALS) {
				TAKE_LITERALS();
				REFILL();
				continue;
			}
			if (e & EXCEPTION) {
				CONSUME(e);
				*ended_out = 1;
				if (!(e >> 16))
					status = KIO_CORRUPT;
				break;
			}
		}
		/* A length takes 20 bits at most, a distance 28. */
		saved = hold;
		CONSUME(e);
		n = value_of(e, saved);
		e = d->dist[hold & DIST_MASK];
		if (KIO_UNLIKELY(e & EXCEPTION)) {
			if (e & SUBTABLE) {
				CONSUME(e);
				e = d->dist[(e >> 16) + (hold & ((1u << (e >> 8 & 63)) - 1))];
			}
			if (e & EXCEPTION) {
				status = KIO_CORRUPT;
				break;
			}
		}
		saved = hold;
		CONSUME(e);
		back = value_of(e, saved);
		if (KIO_UNLIKELY(back > (size_t)(out - begin))) {
			status = KIO_CORRUPT; /* stops a read before the output */
			break;
		}
		/* The next look-up's latency hides behind the copy. */
		REFILL();
		e = d->litlen[hold & LITLEN_MASK];
		copy_match(out, back, n);
		out += n;
	} while (in < in_stop && out < out_stop);

	d->in = in;
	d->out = out;
	d->nbits = nbits & 63;
	d->hold = hold & (((uint64_t)1 << d->nbits) - 1);
	return status;
}

KIO_INLINE enum kio_status inflate(void *dst, size_t dst_nbytes_max, const void *src,
				   size_t src_nbytes, size_t *dst_nbytes_out, size_t *src_used_out)
{
	struct decoder d;
	enum kio_status status = KIO_OK;
	uint8_t nothing = 0; /* so that NULL takes part in no arithmetic */
	unsigned last = 0;

	d.in = src_nbytes ? src : &nothing;
	d.in_end = d.in + src_nbytes;
	d.begin = d.out = dst_nbytes_max ? dst : &nothing;
	d.out_end = d.begin + dst_nbytes_max;
	d.hold = d.nbits = 0;
	d.fixed = 0;

	while (status == KIO_OK && !last) {
		unsigned type;
		int ended = 0;

		refill(&d);
		if (d.nbits < 3) {
			status = KIO_TRUNCATED;
			break;
		}
		last = d.hold & 1;
		type = d.hold >> 1 & 3;
		consume(&d, 3);
		if (type == 0) {
			status = stored_block(&d);
			continue;
		}
		if (type == 1)
			fixed_codes(&d);
		else
			status = type == 2 ? dynamic_codes(&d) : KIO_CORRUPT;
		if (status == KIO_OK)
			status = fast_symbols(&d, &ended);
		if (status == KIO_OK && !ended)
			status = careful_symbols(&d);
	}
	if (dst_nbytes_out)
		*dst_nbytes_out = (size_t)(d.out - d.begin);
	if (src_used_out)
		*src_used_out = src_nbytes - (size_t)(d.in_end - d.in) - d.nbits / 8;
	return status;
}

#define INFLATE(name, attributes)                                             \
	attributes static enum kio_status name(void *dst, size_t dst_nbytes_max, \
					       const void *src, size_t src_nbytes, \
					       size_t *dst_nbytes_out, size_t *src_used_out) \
	{                                                                     \
		return inflate(dst, dst_nbytes_max, src, src_nbytes,          \
			       dst_nbytes_out, src_used_out);                 \
	}

INFLATE(portable, )
#if KIO_SIMD_X86
INFLATE(bmi2, KIO_TARGET("bmi,bmi2"))
#endif

const struct kio_inflate_impl kio_inflate_impls[] = {
#if KIO_SIMD_X86
	{ "bmi2", kio_runs_bmi2, bmi2 },
#endif
	{ "portable", kio_runs_always, portable },
};
KIO_DISPATCH(inflate, enum kio_status,
	     (void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
	      size_t *dst_nbytes_out, size_t *src_used_out),
	     (dst, dst_nbytes_max, src, src_nbytes, dst_nbytes_out, src_used_out))

/*
 *     CMF FLG | deflate | Adler-32, big-endian
 */
enum kio_status kio_inflate_zlib(void *dst, size_t dst_nbytes_max, const void *src,
				 size_t src_nbytes, size_t *dst_nbytes_out, size_t *src_used_out)
{
	const uint8_t *in = src;
	size_t dst_nbytes = 0, used = 0;
	enum kio_status status = KIO_OK;

	if (src_nbytes < 2) {
		status = KIO_TRUNCATED;
	} else if ((in[0] << 8 | in[1]) % 31 || (in[0] & 15) != 8 || in[0] >> 4 > 7) {
		status = KIO_CORRUPT; /* FCHECK, method 8, window of at most 32 KiB */
	} else if (in[1] & 0x20) {
		status = KIO_UNSUPPORTED; /* FDICT */
	} else {
		status = kio_inflate(dst, dst_nbytes_max, in + 2, src_nbytes - 2, &dst_nbytes, &used);
		used += 2;
		if (status == KIO_OK) {
			if (src_nbytes - used < 4) {
				status = KIO_TRUNCATED;
				used = src_nbytes;
			} else {
				uint32_t stored = (uint32_t)in[used] << 24 | (uint32_t)in[used + 1] << 16 |
						  (uint32_t)in[used + 2] << 8 | in[used + 3];
				used += 4;
				if (kio_adler32(1, dst, dst_nbytes) != stored)
					status = KIO_CHECKSUM;
			}
		}
	}
	if (dst_nbytes_out)
		*dst_nbytes_out = dst_nbytes;
	if (src_used_out)
		*src_used_out = used;
	return status;
}
