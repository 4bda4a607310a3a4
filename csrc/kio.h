/*
 * kio.h - every kernel kio has, and the contract of each
 *
 * Floor 0.  Nothing here knows Python, allocates, or performs I/O.  A kernel
 * takes spans, returns a value or an enum kio_status, and never reads or
 * writes outside the spans it was given, whatever bytes they hold.
 *
 * For all kernels, unless a comment says otherwise:
 *   - pointers need no alignment;
 *   - a span of 0 bytes may have any pointer, NULL too;
 *   - source and destination do not overlap;
 *   - any number of threads may call at once; no kernel keeps state;
 *   - memory beyond the reported number of written bytes but inside the
 *     destination span may be scribbled on (decoders copy in wide strides).
 *
 * Not promised: constant time.  Do not use these on secrets.
 */
#ifndef KIO_H
#define KIO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kio_status {
	KIO_OK = 0,
	KIO_TRUNCATED,   /* the span ended before the structure did */
	KIO_CORRUPT,     /* the bytes contradict the format */
	KIO_CHECKSUM,    /* stored and computed checksums differ */
	KIO_UNSUPPORTED, /* well-formed, but a feature kio does not read */
	KIO_LIMIT        /* would exceed a caller-supplied limit */
};

/*
 * A kernel with several implementations has a table: one row per
 * implementation compiled into this build, best first, portable last.  The
 * dispatcher, the tests and the benchmarks all read it.  Every row of a table
 * gives the same results for the same arguments.
 */
#define KIO_IMPL_TABLE(kernel)                                                \
	struct kio_##kernel##_impl {                                          \
		const char *name;                                             \
		int (*runs_here)(void);                                       \
		kio_##kernel##_fn fn;                                         \
	};                                                                    \
	extern const struct kio_##kernel##_impl kio_##kernel##_impls[];       \
	extern const size_t kio_##kernel##_nimpls

/* ------------------------------------------------------------------ checksums */

/*
 * CRC-32 of zip, gzip and PNG: polynomial 0xEDB88320 reflected, as zlib's
 * crc32().  Pass crc = 0 to start; returns the updated value.
 */
typedef uint32_t (*kio_crc32_fn)(uint32_t crc, const void *src, size_t nbytes);
uint32_t kio_crc32(uint32_t crc, const void *src, size_t nbytes);
KIO_IMPL_TABLE(crc32);

/*
 * memcpy(dst, src, nbytes) and kio_crc32(crc, src, nbytes) in one pass over
 * memory.  The CRC is that of the bytes as they were read into registers, i.e.
 * of exactly what was written to dst, even if another thread changes src.
 */
typedef uint32_t (*kio_crc32_copy_fn)(uint32_t crc, void *dst, const void *src, size_t nbytes);
uint32_t kio_crc32_copy(uint32_t crc, void *dst, const void *src, size_t nbytes);
KIO_IMPL_TABLE(crc32_copy);

/*
 * CRC-32 of A||B from crc1 of A, crc2 of B (each started at 0) and the number
 * of bytes of B.  O(log nbytes2), well under a microsecond.
 */
uint32_t kio_crc32_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2);

/*
 * CRC-32C (Castagnoli), polynomial 0x82F63B78 reflected: tensor bundles,
 * SSTable blocks, OCDBT.  Unmasked.  Pass crc = 0 to start.
 */
typedef uint32_t (*kio_crc32c_fn)(uint32_t crc, const void *src, size_t nbytes);
uint32_t kio_crc32c(uint32_t crc, const void *src, size_t nbytes);
KIO_IMPL_TABLE(crc32c);

/* As kio_crc32_copy and kio_crc32_combine. */
typedef uint32_t (*kio_crc32c_copy_fn)(uint32_t crc, void *dst, const void *src, size_t nbytes);
uint32_t kio_crc32c_copy(uint32_t crc, void *dst, const void *src, size_t nbytes);
KIO_IMPL_TABLE(crc32c_copy);
uint32_t kio_crc32c_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2);

/* Adler-32 of zlib streams (RFC 1950).  Pass adler = 1 to start. */
typedef uint32_t (*kio_adler32_fn)(uint32_t adler, const void *src, size_t nbytes);
uint32_t kio_adler32(uint32_t adler, const void *src, size_t nbytes);
KIO_IMPL_TABLE(adler32);

/*
 * Fletcher-32 as HDF5's filter 3 stores it (H5_checksum_fletcher32): 16-bit
 * big-endian words whatever the machine, an odd last byte is the high half of
 * a word, both sums folded modulo 65535 so that a non-zero sum never becomes 0.
 *
 * HDF5 stores the value little-endian behind the chunk.  HDF5 1.6.2 and before
 * computed it over words in the byte order of the machine, so readers
 * (H5Z__filter_fletcher32) also accept the value with the two bytes of each
 * 16-bit half exchanged: kio_fletcher32_old() of the right one.
 */
typedef uint32_t (*kio_fletcher32_fn)(const void *src, size_t nbytes);
uint32_t kio_fletcher32(const void *src, size_t nbytes);
KIO_IMPL_TABLE(fletcher32);
uint32_t kio_fletcher32_old(uint32_t fletcher32);

/*
 * Bob Jenkins' lookup3 hashlittle(), which HDF5 puts behind its newer metadata
 * (H5_checksum_metadata, always with initval 0).  Same value on any machine.
 */
uint32_t kio_lookup3(const void *src, size_t nbytes, uint32_t initval);

/* ------------------------------------------------------------------- transforms */

/*
 * The HDF5 shuffle filter: byte b of element i of src becomes byte i of plane b
 * of dst.  kio_unshuffle is its inverse.  The nbytes % itemsize bytes that fill
 * no element stay last and unchanged.  itemsize 0 and 1 copy.
 */
typedef void (*kio_shuffle_fn)(void *dst, const void *src, size_t nbytes, size_t itemsize);
void kio_shuffle(void *dst, const void *src, size_t nbytes, size_t itemsize);
KIO_IMPL_TABLE(shuffle);
typedef void (*kio_unshuffle_fn)(void *dst, const void *src, size_t nbytes, size_t itemsize);
void kio_unshuffle(void *dst, const void *src, size_t nbytes, size_t itemsize);
KIO_IMPL_TABLE(unshuffle);

/*
 * Reverse the bytes of each of nelems items of 2, 4 or 8 bytes; other item
 * sizes are copied as they are.  dst may be src; no other overlap.
 * A complex number is two items.
 */
typedef void (*kio_swap_fn)(void *dst, const void *src, size_t nelems, size_t itemsize);
void kio_swap(void *dst, const void *src, size_t nelems, size_t itemsize);
KIO_IMPL_TABLE(swap);

/*
 * Conversions between float32 and the short float types, elements in the
 * machine's byte order.  Narrowing rounds to nearest, ties to even.  Values
 * too large become infinity, or NaN in float8_e4m3fn, which has no infinity.
 * A NaN stays a NaN of the same sign: bfloat16 widens with its payload;
 * otherwise payloads are not kept and the result is the type's usual quiet
 * NaN, except that float16 may keep the payload's upper bits.
 */
typedef void (*kio_convert_fn)(void *dst, const void *src, size_t nelems);
struct kio_convert_impl {
	const char *name;
	int (*runs_here)(void);
	kio_convert_fn fn;
};
#define KIO_CONVERSION(conversion)                                            \
	void kio_##conversion(void *dst, const void *src, size_t nelems);     \
	extern const struct kio_convert_impl kio_##conversion##_impls[];      \
	extern const size_t kio_##conversion##_nimpls
KIO_CONVERSION(bf16_to_f32);
KIO_CONVERSION(f32_to_bf16);
KIO_CONVERSION(f16_to_f32);
KIO_CONVERSION(f32_to_f16);
KIO_CONVERSION(f8_e4m3fn_to_f32);
KIO_CONVERSION(f32_to_f8_e4m3fn);
KIO_CONVERSION(f8_e5m2_to_f32);
KIO_CONVERSION(f32_to_f8_e5m2);

/*
 * Copy a box of elements between two dense C-order arrays: element
 * src_start + i of src goes to dst_start + i of dst, for every i below box[].
 *
 * The caller has clipped: dst_start[d] + box[d] <= dst_shape[d], likewise for
 * src, and both arrays' bytes are in memory.  rank is at most KIO_MAX_RANK;
 * rank 0 copies one element.  A 0 in box copies nothing.  Dimensions that are
 * whole in both arrays are merged, so full rows become one memcpy.
 */
enum { KIO_MAX_RANK = 32 };
void kio_place(void *dst, const uint64_t *dst_shape, const uint64_t *dst_start,
	       const void *src, const uint64_t *src_shape, const uint64_t *src_start,
	       const uint64_t *box, unsigned rank, size_t itemsize);

/* --------------------------------------------------------------------- decoders */

/*
 * Raw deflate (RFC 1951), whole buffers.
 *
 * Sets *dst_nbytes_out to the bytes decoded and *src_used_out to the bytes the
 * stream took, rounded up to whole bytes; both also on failure, where they say
 * how far decoding came.  Either may be NULL.
 *   KIO_TRUNCATED  src ends before the stream does
 *   KIO_CORRUPT    whatever zlib calls a data error, with its rules for
 *                  incomplete codes
 *   KIO_LIMIT      the stream holds more than dst_nbytes_max bytes
 * Work is O(src_nbytes + bytes decoded).  Uses about 16 KiB of stack.
 */
typedef enum kio_status (*kio_inflate_fn)(void *dst, size_t dst_nbytes_max, const void *src,
					  size_t src_nbytes, size_t *dst_nbytes_out,
					  size_t *src_used_out);
enum kio_status kio_inflate(void *dst, size_t dst_nbytes_max, const void *src, size_t src_nbytes,
			    size_t *dst_nbytes_out, size_t *src_used_out);
KIO_IMPL_TABLE(inflate);

/*
 * The same in a zlib wrapper (RFC 1950), which is HDF5's deflate filter.  Also
 *   KIO_CHECKSUM     the Adler-32 is wrong (dst then holds all bytes)
 *   KIO_UNSUPPORTED  the stream needs a preset dictionary
 */
enum kio_status kio_inflate_zlib(void *dst, size_t dst_nbytes_max, const void *src,
				 size_t src_nbytes, size_t *dst_nbytes_out, size_t *src_used_out);

/*
 * LZF, as liblzf and h5py's filter 32000 write it; src is one whole stream.
 *   KIO_TRUNCATED  src ends inside an instruction
 *   KIO_CORRUPT    a match starts before dst
 *   KIO_LIMIT      the stream holds more than dst_nbytes_max bytes
 */
enum kio_status kio_lzf_decompress(void *dst, size_t dst_nbytes_max, const void *src,
				   size_t src_nbytes, size_t *dst_nbytes_out);

/*
 * Snappy's raw format, whole buffers.  kio_snappy_size only reads the decoded size in front.
 *   KIO_TRUNCATED  src ends inside an element, or before the decoded size is reached
 *   KIO_CORRUPT    the size is no varint of 32 bits; an element goes beyond it; a match
 *                  starts before dst
 *   KIO_LIMIT      the decoded size is above dst_nbytes_max; nothing is decoded
 * A stream cannot hold more than 22 times its own size.
 */
enum kio_status kio_snappy_size(const void *src, size_t src_nbytes, size_t *dst_nbytes_out);
enum kio_status kio_snappy_decompress(void *dst, size_t dst_nbytes_max, const void *src,
				      size_t src_nbytes, size_t *dst_nbytes_out);

#ifdef __cplusplus
}
#endif

#endif /* KIO_H */
