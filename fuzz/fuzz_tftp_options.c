/*
 * fuzz_tftp_options.c: a server never grants options that a client would reject. For any
 * request, the client reads exactly the options that were granted.
 *
 * Input: blksize_max, window_max, refused (two bytes each), flags (1 upload,
 * 2 size known), then the option pairs.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/tftp_options.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct sockeye__tftp_options *a, const struct sockeye__tftp_options *b)
{
	require(a->has == b->has, "other options");
	for (int i = 0; i < SOCKEYE__TFTP_OPTIONS; i++)
		if (sockeye__tftp_has(a, (enum sockeye__tftp_option)i))
			require(a->value[i] == b->value[i], "other values");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockeye__tftp_policy policy;
	struct sockeye__tftp_options asked, granted, seen;
	uint8_t buf[SOCKEYE__TFTP_OACK_MAX];
	const uint64_t file = UINT64_C(5) << 32;
	ssize_t len;

	if (size < 7)
		return 0;
	policy = (struct sockeye__tftp_policy){
	    .blksize_max = sockeye__tftp_get16(data),
	    .window_max = sockeye__tftp_get16(data + 2),
	    .refused = sockeye__tftp_get16(data + 4),
	};
	if (policy.blksize_max != 0 && policy.blksize_max < SOCKEYE__TFTP_BLKSIZE_MIN)
		policy.blksize_max = SOCKEYE__TFTP_BLKSIZE_MIN;
	asked = sockeye__tftp_options_parse((struct sockeye__span){data + 7, size - 7});
	granted = sockeye__tftp_options_negotiate(&asked, &policy, data[6] & 1,
						  data[6] & 2 ? &file : NULL);
	require((granted.has & ~asked.has) == 0, "granted an option that was not requested");
	require((granted.has & policy.refused) == 0, "granted a refused option");
	len = sockeye__tftp_options_encode(buf, sizeof buf - 2, &granted);
	require(len >= 0, "the OACK does not fit");
	require(sockeye__tftp_oack_check(&asked, (struct sockeye__span){buf, (size_t)len}, &seen) ==
		    0,
		"the client rejects the OACK");
	same(&granted, &seen);
	/* A client can check any pairs as an OACK. */
	if (sockeye__tftp_oack_check(&asked, (struct sockeye__span){data + 7, size - 7}, &seen) ==
	    0) {
		require(sockeye__tftp_blksize(&seen) >= SOCKEYE__TFTP_BLKSIZE_MIN,
			"blksize too small");
		require(sockeye__tftp_windowsize(&seen) >= 1, "no window");
		require((seen.has & ~asked.has) == 0, "accepted an option that was not requested");
	}
	return 0;
}
