/*
 * lzf.c - LZF as h5py's filter 32000 stores it
 *
 * Spec: liblzf, lzf_d.c.  A stream is a sequence of
 *     000LLLLL  <L+1 bytes>          L + 1 literal bytes
 *     LLLooooo oooooooo              match of L + 2 bytes (L = 1 to 6)
 *     111ooooo LLLLLLLL oooooooo     match of L + 9 bytes
 * where a match starts o + 1 bytes before the output's end and may overlap it.
 */
#include "kio.h"
#include "compiler.h"

enum kio_status kio_lzf_decompress(void *dst, size_t dst_nbytes_max, const void *src,
				   size_t src_nbytes, size_t *dst_nbytes_out)
{
	uint8_t *const begin = dst;
	const uint8_t *in = src;
	size_t in_left = src_nbytes, done = 0;
	enum kio_status status = KIO_OK;

	while (in_left) {
		size_t control = *in++, n, back;

		in_left--;
		if (control < 32) {
			n = control + 1;
			if (n > in_left) {
				status = KIO_TRUNCATED;
				break;
			}
			if (n > dst_nbytes_max - done) {
				status = KIO_LIMIT;
				break;
			}
			/* 32 bytes at once where both spans have them. */
			if (in_left >= 32 && dst_nbytes_max - done >= 32)
				memcpy(begin + done, in, 32);
			else
				memcpy(begin + done, in, n);
			in += n;
			in_left -= n;
			done += n;
			continue;
		}
		n = control >> 5;
		if (in_left < (n == 7 ? 2u : 1u)) {
			status = KIO_TRUNCATED;
			break;
		}
		if (n == 7) {
			n += *in++;
			in_left--;
		}
		n += 2;
		back = ((control & 31) << 8 | *in++) + 1;
		in_left--;
		if (back > done) {
			status = KIO_CORRUPT;
			break;
		}
		if (n > dst_nbytes_max - done) {
			status = KIO_LIMIT;
			break;
		}
		{
			uint8_t *out = begin + done;
			const uint8_t *from = out - back;

			if (back >= 8 && dst_nbytes_max - done >= n + 8) {
				for (size_t i = 0; i < n; i += 8)
					kio_store64(out + i, kio_load64(from + i));
			} else {
				for (size_t i = 0; i < n; i++)
					out[i] = from[i];
			}
		}
		done += n;
	}
	if (dst_nbytes_out)
		*dst_nbytes_out = done;
	return status;
}
