/*
 * dispatch.h - from an implementation table to the public function
 *
 * Internal to csrc.  KIO_DISPATCH(kernel, ...) wants kio_<kernel>_impls[] of
 * kio.h above it and defines kio_<kernel>(): a call through a pointer which at
 * first points to a function that walks the table.  The portable row comes
 * last and runs everywhere, so the walk always ends.
 */
#ifndef KIO_DISPATCH_H
#define KIO_DISPATCH_H

#include "compiler.h"
#include "cpu.h"

#define KIO_DISPATCH_POINTER(kernel, type, params)                            \
	const size_t kio_##kernel##_nimpls =                                  \
		sizeof(kio_##kernel##_impls) / sizeof(kio_##kernel##_impls[0]); \
	static type kernel##_resolve params;                                  \
	static KIO_DISPATCH_QUALIFIER kio_##kernel##_fn kernel##_chosen =     \
		kernel##_resolve;                                             \
	static kio_##kernel##_fn kernel##_choose(void)                        \
	{                                                                     \
		size_t i = 0;                                                 \
		while (!kio_##kernel##_impls[i].runs_here())                  \
			i++;                                                  \
		KIO_STORE_RELAXED(&kernel##_chosen, kio_##kernel##_impls[i].fn); \
		return kio_##kernel##_impls[i].fn;                            \
	}

#define KIO_DISPATCH(kernel, type, params, args)                              \
	KIO_DISPATCH_POINTER(kernel, type, params)                            \
	static type kernel##_resolve params { return kernel##_choose() args; } \
	type kio_##kernel params { return KIO_LOAD_RELAXED(&kernel##_chosen) args; }

/* The same for kernels that return nothing. */
#define KIO_DISPATCH_VOID(kernel, params, args)                               \
	KIO_DISPATCH_POINTER(kernel, void, params)                            \
	static void kernel##_resolve params { kernel##_choose() args; }       \
	void kio_##kernel params { KIO_LOAD_RELAXED(&kernel##_chosen) args; }

#endif /* KIO_DISPATCH_H */
