/* same_addr.h: compares all fields of two addresses. */
#ifndef TEST_UNIT_SAME_ADDR_H
#define TEST_UNIT_SAME_ADDR_H

#include <string.h>

#include <sockeye/addr.h>

static inline bool same_opts(const struct sockeye_addr_opts *a, const struct sockeye_addr_opts *b)
{
	return a->nodelay == b->nodelay && a->keepalive == b->keepalive &&
	       a->reuseport == b->reuseport && a->broadcast == b->broadcast &&
	       a->dontroute == b->dontroute && a->v6only == b->v6only &&
	       a->freebind == b->freebind && a->has_mode == b->has_mode && a->mode == b->mode &&
	       a->ttl == b->ttl && a->backlog == b->backlog && a->rcvbuf == b->rcvbuf &&
	       a->sndbuf == b->sndbuf && memcmp(a->bind, b->bind, sizeof a->bind) == 0;
}

/* Also compares the bytes after the NUL of a string, which are zero. */
static inline bool same_addr(const struct sockeye_addr *a, const struct sockeye_addr *b)
{
	return a->scheme == b->scheme && a->family == b->family &&
	       memcmp(a->host, b->host, sizeof a->host) == 0 &&
	       memcmp(a->zone, b->zone, sizeof a->zone) == 0 && a->has_port == b->has_port &&
	       a->port == b->port && memcmp(a->service, b->service, sizeof a->service) == 0 &&
	       a->abstract == b->abstract && a->path_len == b->path_len &&
	       memcmp(a->path, b->path, sizeof a->path) == 0 && a->fd == b->fd &&
	       memcmp(a->file, b->file, sizeof a->file) == 0 && a->netascii == b->netascii &&
	       same_opts(&a->opts, &b->opts);
}

#endif
