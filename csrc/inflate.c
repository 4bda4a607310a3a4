/*
 * inflate.c - raw deflate and its zlib wrapper, whole buffers
 *
 * Spec: RFC 1951, RFC 1950.
 */
#include "kio.h"
#include "dispatch.h"

struct reader { const uint8_t *next, *end; uint32_t hold; unsigned nbits; int truncated; };

static unsigned take(struct reader *r, unsigned n)
{
	unsigned v;

	while (r->nbits < n) {
		if (r->next == r->end) {
			r->truncated = 1;
			return 0;
		}
		r->hold |= (uint32_t)*r->next++ << r->nbits;
		r->nbits += 8;
	}
	v = r->hold & ((1u << n) - 1);
	r->hold >>= n;
	r->nbits -= n;
	return v;
}

struct code { uint16_t ncodes[16], symbols[288]; };

/* Returns what is left of the code space: 0 complete, < 0 oversubscribed. */
static int build(struct code *h, const uint8_t *lengths, unsigned n)
{
	uint16_t offsets[16];
	int left = 1;

	memset(h->ncodes, 0, sizeof(h->ncodes));
	for (unsigned i = 0; i < n; i++)
		h->ncodes[lengths[i]]++;
	if (h->ncodes[0] == n)
		return 0;
	for (int len = 1; len < 16; len++) {
		left = left * 2 - h->ncodes[len];
		if (left < 0)
			return left;
	}
	offsets[1] = 0;
	for (int len = 1; len < 15; len++)
		offsets[len + 1] = (uint16_t)(offsets[len] + h->ncodes[len]);
	for (unsigned i = 0; i < n; i++)
		if (lengths[i])
			h->symbols[offsets[lengths[i]]++] = (uint16_t)i;
	return left;
}

/* -1: no such code. */
static int decode(struct reader *r, const struct code *h)
{
	int code = 0, first = 0, index = 0;

	for (int len = 1; len < 16; len++) {
		code |= (int)take(r, 1);
		int count = h->ncodes[len];
		if (code - count < first)
			return h->symbols[index + (code - first)];
		index += count;
		first = (first + count) << 1;
		code <<= 1;
	}
	return -1;
}

static const uint16_t length_base[29] = { 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31,
	35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258 };
static const uint8_t length_extra[29] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3,
	3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
static const uint16_t distance_base[30] = { 1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129,
	193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577 };
static const uint8_t distance_extra[30] = { 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7,
	8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13 };
static const uint8_t order[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };

static enum kio_status dynamic_codes(struct reader *r, struct code *lit, struct code *dist)
{
	uint8_t lengths[320] = { 0 }, small[19] = { 0 };
	unsigned nlit = take(r, 5) + 257, ndist = take(r, 5) + 1, nsmall = take(r, 4) + 4, i = 0;

	if (r->truncated)
		return KIO_TRUNCATED;
	if (nlit > 286 || ndist > 30)
		return KIO_CORRUPT;
	for (unsigned k = 0; k < nsmall; k++)
		small[order[k]] = (uint8_t)take(r, 3);
	if (build(lit, small, 19) != 0)
		return r->truncated ? KIO_TRUNCATED : KIO_CORRUPT;
	while (i < nlit + ndist) {
		int s = decode(r, lit);
		unsigned n, v = 0;

		if (r->truncated)
			return KIO_TRUNCATED;
		if (s < 0)
			return KIO_CORRUPT;
		if (s < 16) {
			lengths[i++] = (uint8_t)s;
			continue;
		}
		if (s == 16) {
			if (i == 0)
				return KIO_CORRUPT;
			v = lengths[i - 1];
			n = 3 + take(r, 2);
		} else {
			n = s == 17 ? 3 + take(r, 3) : 11 + take(r, 7);
		}
		if (r->truncated)
			return KIO_TRUNCATED;
		if (n > nlit + ndist - i)
			return KIO_CORRUPT;
		while (n--)
			lengths[i++] = (uint8_t)v;
	}
	if (lengths[256] == 0)
		return KIO_CORRUPT;
	int left = build(lit, lengths, nlit);
	if (left < 0 || (left > 0 && lit->ncodes[0] + lit->ncodes[1] != nlit))
		return KIO_CORRUPT;
	left = build(dist, lengths + nlit, ndist);
	if (left < 0 || (left > 0 && dist->ncodes[0] + dist->ncodes[1] != ndist))
		return KIO_CORRUPT;
	return KIO_OK;
}

static enum kio_status portable(void *dst, size_t max, const void *src, size_t src_nbytes,
				size_t *dst_nbytes_out, size_t *src_used_out)
{
	struct reader r = { src, NULL, 0, 0, 0 };
	struct code lit, dist;
	uint8_t lengths[320], *out = dst;
	size_t done = 0;
	enum kio_status status = KIO_OK;
	unsigned last;

	if (src_nbytes)
		r.end = r.next + src_nbytes;
	else
		r.next = r.end = NULL;
	do {
		unsigned type;

		last = take(&r, 1);
		type = take(&r, 2);
		if (r.truncated) { status = KIO_TRUNCATED; break; }
		if (type == 0) {
			unsigned n, inverse;

			r.hold = r.nbits = 0;
			n = take(&r, 16);
			inverse = take(&r, 16);
			if (r.truncated) { status = KIO_TRUNCATED; break; }
			if (n != (~inverse & 0xFFFF)) { status = KIO_CORRUPT; break; }
			size_t have = (size_t)(r.end - r.next);
			if (n > have) status = KIO_TRUNCATED;
			size_t m = n < have ? n : have;
			if (m > max - done) { status = KIO_LIMIT; m = max - done; }
			if (m)
				memcpy(out + done, r.next, m);
			done += m;
			r.next += m;
			if (status) break;
			continue;
		}
		if (type == 3) { status = KIO_CORRUPT; break; }
		if (type == 1) {
			memset(lengths, 8, 144);
			memset(lengths + 144, 9, 112);
			memset(lengths + 256, 7, 24);
			memset(lengths + 280, 8, 8);
			build(&lit, lengths, 288);
			memset(lengths, 5, 32);
			build(&dist, lengths, 32);
		} else {
			status = dynamic_codes(&r, &lit, &dist);
			if (status)
				break;
		}
		for (;;) {
			int s = decode(&r, &lit);
			if (r.truncated) { status = KIO_TRUNCATED; break; }
			if (s < 0 || s > 285) { status = KIO_CORRUPT; break; }
			if (s == 256)
				break;
			if (s < 256) {
				if (done == max) { status = KIO_LIMIT; break; }
				out[done++] = (uint8_t)s;
				continue;
			}
			size_t n = length_base[s - 257] + take(&r, length_extra[s - 257]);
			s = decode(&r, &dist);
			if (r.truncated) { status = KIO_TRUNCATED; break; }
			if (s < 0 || s > 29) { status = KIO_CORRUPT; break; }
			size_t back = distance_base[s] + take(&r, distance_extra[s]);
			if (r.truncated) { status = KIO_TRUNCATED; break; }
			if (back > done) { status = KIO_CORRUPT; break; }
			if (n > max - done) { status = KIO_LIMIT; break; }
			for (; n; n--, done++)
				out[done] = out[done - back];
		}
	} while (!status && !last);
	if (dst_nbytes_out)
		*dst_nbytes_out = done;
	if (src_used_out)
		*src_used_out = src_nbytes - (size_t)(r.end - r.next);
	return status;
}

const struct kio_inflate_impl kio_inflate_impls[] = {
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
		status = KIO_CORRUPT;
	} else if (in[1] & 0x20) {
		status = KIO_UNSUPPORTED;
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
