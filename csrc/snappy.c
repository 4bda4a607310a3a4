/*
 * snappy.c - Snappy's raw format, as blocks of a TensorFlow SSTable may have it
 *
 * Spec: google/snappy, format_description.txt.  A stream is
 *     varint                         decoded size n, at most 2^32 - 1
 * and then elements whose first byte ends in two bits that say what follows:
 *     LLLLLL00 <L+1 bytes>           literal; L = 60 to 63: the length less one is in the
 *                                    next 1 to 4 bytes, little-endian
 *     oooLLL01 oooooooo              match of L + 4 bytes, the upper bits of o first
 *     LLLLLL10 o:u16le               match of L + 1 bytes
 *     LLLLLL11 o:u32le               match of L + 1 bytes
 * where a match starts o bytes before the output's end and may overlap it.
 */
#include "kio.h"
#include "compiler.h"

/* The varint in front; the bytes that it takes, or 0 if it is none of 32 bits. */
static size_t decoded_size(const uint8_t *in, size_t nbytes, uint32_t *nbytes_out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < nbytes && i < 5; i++) {
		value |= (uint64_t)(in[i] & 127) << (7 * i);
		if (in[i] < 128) {
			*nbytes_out = (uint32_t)value;
			return value > UINT32_MAX ? 0 : i + 1;
		}
	}
	return 0;
}

enum kio_status kio_snappy_size(const void *src, size_t src_nbytes, size_t *dst_nbytes_out)
{
	uint32_t n = 0;
	const uint8_t *in = src;

	if (!decoded_size(in, src_nbytes, &n)) {
		for (size_t i = 0; i < src_nbytes && i < 5; i++)
			if (in[i] < 128)
				return KIO_CORRUPT;
		return src_nbytes < 5 ? KIO_TRUNCATED : KIO_CORRUPT;
	}
	*dst_nbytes_out = n;
	return KIO_OK;
}

/* A match of n bytes that begins back bytes before out; room: bytes of dst from out on. */
static void repeat(uint8_t *out, size_t back, size_t n, size_t room)
{
	const uint8_t *from = out - back;

	if (back >= 8 && room >= n + 8) {
		for (size_t i = 0; i < n; i += 8)
			kio_store64(out + i, kio_load64(from + i));
	} else {
		for (size_t i = 0; i < n; i++)
			out[i] = from[i];
	}
}

enum kio_status kio_snappy_decompress(void *dst, size_t dst_nbytes_max, const void *src,
				      size_t src_nbytes, size_t *dst_nbytes_out)
{
	uint8_t *const begin = dst;
	const uint8_t *in = src;
	size_t left = src_nbytes, done = 0, size = 0;
	uint32_t promised = 0;
	enum kio_status status = kio_snappy_size(src, src_nbytes, &size);

	if (dst_nbytes_out)
		*dst_nbytes_out = 0;
	if (status != KIO_OK)
		return status;
	if (size > dst_nbytes_max)
		return KIO_LIMIT;
	{
		size_t used = decoded_size(in, left, &promised);

		in += used;
		left -= used;
	}
	while (left) {
		size_t tag = *in++, n = (tag >> 2) + 1, back, extra;

		left--;
		if ((tag & 3) == 0) {
			extra = n > 60 ? n - 60 : 0;
			if (extra > left) {
				status = KIO_TRUNCATED;
				break;
			}
			if (extra) {
				n = 0;
				for (size_t i = 0; i < extra; i++)
					n |= (size_t)in[i] << (8 * i);
				/* 2^32 of them would not fit in a size_t of 32 bits. */
				if (n >= size) {
					status = KIO_CORRUPT;
					break;
				}
				n++;
				in += extra;
				left -= extra;
			}
			if (n > left) {
				status = KIO_TRUNCATED;
				break;
			}
			if (n > size - done) {
				status = KIO_CORRUPT;
				break;
			}
			memcpy(begin + done, in, n);
			in += n;
			left -= n;
			done += n;
			continue;
		}
		extra = (tag & 3) == 3 ? 4 : tag & 3;
		if (extra > left) {
			status = KIO_TRUNCATED;
			break;
		}
		if (extra == 1) {
			n = ((tag >> 2) & 7) + 4;
			back = (tag >> 5) << 8 | in[0];
		} else {
			back = 0;
			for (size_t i = 0; i < extra; i++)
				back |= (size_t)in[i] << (8 * i);
		}
		in += extra;
		left -= extra;
		if (back == 0 || back > done || n > size - done) {
			status = KIO_CORRUPT;
			break;
		}
		repeat(begin + done, back, n, dst_nbytes_max - done);
		done += n;
	}
	if (status == KIO_OK && done != size)
		status = KIO_TRUNCATED;
	if (dst_nbytes_out)
		*dst_nbytes_out = done;
	return status;
}
