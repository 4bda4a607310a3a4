/*
 * decoders.c - libFuzzer target of csrc's decoders: inflate, its zlib wrapper, LZF, Snappy
 *
 *     clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -Icsrc \
 *         tests/fuzz/decoders.c csrc/(all).c -o /tmp/decoders
 *     /tmp/decoders -max_total_time=600
 *
 * The input's first byte chooses the room for the output, the rest is the
 * stream.  Spans are allocations of exactly their size, so the sanitizer sees
 * every step outside; all implementations must agree on everything.
 */
#include "kio.h"

#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                       \
	do {                                                                  \
		if (!(condition))                                             \
			abort();                                              \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	static const size_t rooms[] = { 0, 1, 100, 400, 5000, 20000, 70000, 300000 };
	size_t room, src_nbytes, dst_nbytes, used, first_dst_nbytes = 0, first_used = 0;
	uint8_t *src, *dst, *first = NULL;
	enum kio_status status, first_status = KIO_OK;

	if (nbytes == 0)
		return 0;
	room = rooms[data[0] & 7];
	src_nbytes = nbytes - 1;
	src = malloc(src_nbytes ? src_nbytes : 1);
	MUST(src);
	memcpy(src, data + 1, src_nbytes);

	for (size_t i = 0; i < kio_inflate_nimpls; i++) {
		if (!kio_inflate_impls[i].runs_here())
			continue;
		dst = malloc(room ? room : 1);
		MUST(dst);
		status = kio_inflate_impls[i].fn(dst, room, src, src_nbytes, &dst_nbytes, &used);
		MUST(dst_nbytes <= room && used <= src_nbytes);
		if (!first) {
			first = dst;
			first_status = status;
			first_dst_nbytes = dst_nbytes;
			first_used = used;
			continue;
		}
		MUST(status == first_status && dst_nbytes == first_dst_nbytes && used == first_used);
		MUST(memcmp(dst, first, dst_nbytes) == 0);
		free(dst);
	}
	free(first);

	dst = malloc(room ? room : 1);
	MUST(dst);
	status = kio_inflate_zlib(dst, room, src, src_nbytes, &dst_nbytes, &used);
	MUST(dst_nbytes <= room && used <= src_nbytes);
	MUST(status != KIO_OK || kio_adler32(1, dst, dst_nbytes) != 0);
	status = kio_lzf_decompress(dst, room, src, src_nbytes, &dst_nbytes);
	MUST(dst_nbytes <= room && (status != KIO_OK || src_nbytes == 0 || dst_nbytes > 0));
	status = kio_snappy_decompress(dst, room, src, src_nbytes, &dst_nbytes);
	MUST(dst_nbytes <= room && dst_nbytes <= 22 * src_nbytes);
	used = 0;
	MUST(status != KIO_OK || (kio_snappy_size(src, src_nbytes, &used) == KIO_OK && used == dst_nbytes));
	free(dst);
	free(src);
	return 0;
}
