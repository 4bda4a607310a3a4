/* place.c - putting a chunk, or a part of one, where it belongs */
#include "kio.h"
#include "compiler.h"

/*
 * One dimension after merging: how many elements the box has here and how many
 * bytes lie between two of them in either array.
 */
struct axis { size_t box, dst_stride, src_stride; };

/* Rows along one axis.  A memcpy of constant size is a load and a store. */
KIO_INLINE void copy_rows(uint8_t *out, const uint8_t *in, size_t row, struct axis axis)
{
#define ROWS_OF(nbytes)                                                       \
	case nbytes:                                                          \
		for (; axis.box > 0; axis.box--, out += axis.dst_stride, in += axis.src_stride) \
			memcpy(out, in, nbytes);                              \
		break
	switch (row) {
	ROWS_OF(1);
	ROWS_OF(2);
	ROWS_OF(4);
	ROWS_OF(8);
	ROWS_OF(12);
	ROWS_OF(16);
	ROWS_OF(24);
	ROWS_OF(32);
	ROWS_OF(64);
	default:
		for (; axis.box > 0; axis.box--, out += axis.dst_stride, in += axis.src_stride)
			memcpy(out, in, row);
	}
}

void kio_place(void *dst, const uint64_t *dst_shape, const uint64_t *dst_start, const void *src,
	       const uint64_t *src_shape, const uint64_t *src_start, const uint64_t *box,
	       unsigned rank, size_t itemsize)
{
	struct axis axes[KIO_MAX_RANK];
	size_t index[KIO_MAX_RANK] = { 0 };
	size_t dst_stride = itemsize, src_stride = itemsize, row = itemsize;
	uint8_t *out = dst;
	const uint8_t *in = src;
	unsigned naxes = 0;
	int contiguous = 1;

	/* From the last dimension to the first; axes[0] varies fastest. */
	for (unsigned d = rank; d-- > 0;) {
		if (box[d] == 0)
			return;
		out += (size_t)dst_start[d] * dst_stride;
		in += (size_t)src_start[d] * src_stride;
		if (contiguous) {
			row *= (size_t)box[d];
			/* The next dimension joins the row if this one was whole. */
			contiguous = box[d] == dst_shape[d] && box[d] == src_shape[d];
		} else if (box[d] > 1) {
			axes[naxes].box = (size_t)box[d];
			axes[naxes].dst_stride = dst_stride;
			axes[naxes].src_stride = src_stride;
			naxes++;
		}
		dst_stride *= (size_t)dst_shape[d];
		src_stride *= (size_t)src_shape[d];
	}
	if (row == 0)
		return;
	if (naxes == 0) {
		memcpy(out, in, row);
		return;
	}

	/* An odometer over the other axes, without a multiplication. */
	for (;;) {
		unsigned a = 1;

		copy_rows(out, in, row, axes[0]);
		for (;; a++) {
			if (a == naxes)
				return;
			if (++index[a] < axes[a].box) {
				out += axes[a].dst_stride;
				in += axes[a].src_stride;
				break;
			}
			index[a] = 0;
			out -= axes[a].dst_stride * (axes[a].box - 1);
			in -= axes[a].src_stride * (axes[a].box - 1);
		}
	}
}
