/* talk.c: the end of a connection (talk.h). */
#include "talk/talk.h"

#include <sockeye/stream.h>
#include <sockeye/time.h>

#define LINGER_NS    (500 * SOCKEYE_NS_PER_MS)
#define LINGER_BYTES (4 * 1024 * 1024) /* reset a peer that does not stop sending */

void sockeye__talk_linger(int fd)
{
	uint64_t until_ns = sockeye_now().mono_ns + LINGER_NS;
	uint8_t bytes[SOCKEYE__TALK_PEEK_MAX];
	ssize_t n = 1;

	if (sockeye_half_close(fd) < 0)
		return;
	for (size_t discarded = 0; n > 0 && discarded < LINGER_BYTES; discarded += (size_t)n)
		n = sockeye_read_some(fd, bytes, sizeof bytes, until_ns);
}
