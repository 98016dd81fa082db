/*
 * server.h: `sockeye serve tftp`, a service with a loop of its own.
 *
 *   sockeye__tftp_server_open(&server, &config, &fail);    while still privileged
 *   request.site.service = &sockeye__tftp_service;
 *   request.spec = sockeye__tftp_server_crew(server);
 *   sockeye__serve_crews(&request, 1, ...);
 *   sockeye__tftp_server_close(server);
 */
#ifndef SOCKEYE_TFTP_SERVER_SERVER_H
#define SOCKEYE_TFTP_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/error.h>
#include <sockeye/service.h>
#include <sockeye/sockaddr.h>

#include "proto/tftp_name.h"
#include "proto/tftp_transfer.h"
#include "tftp/server/map.h"
#include "tftp/server/policy.h"
#include "tftp/server/store.h"
#include "tftp/wire.h"

/* One transfer that is over, or a request that none came of. */
struct sockeye__tftp_report {
	const struct sockeye_sockaddr *peer;
	bool upload;
	bool netascii;
	const char *name;           /* of the file, a stranger's bytes */
	struct sockeye__span asked; /* as it was asked for: the same bytes or others */
	uint64_t bytes;             /* of the file: sent and acknowledged, or received */
	uint64_t elapsed_ns;
	struct sockeye__tftp_options options; /* granted */
	struct sockeye__tftp_counters count;
	uint16_t blksize, window;
	bool refused;   /* no transfer came of it */
	bool confirmed; /* the client exists: its address is not forged */
	bool done;
	bool probe;                     /* the client wanted to know the size only (UEFI) */
	const char *text;               /* how it ended */
	struct sockeye__span peer_text; /* what the peer's ERROR said, its bytes */
	int code;                       /* of an ERROR, either way; -1 none */
	int err;                        /* of ours behind it; 0 none */
};

/* Zero is the sensible default of everything but the store's root. */
struct sockeye__tftp_server_config {
	struct sockeye__tftp_store_config store;
	struct sockeye__tftp_name_rules names;
	const char *map_path, *policy_path; /* NULL: none */
	struct sockeye__tftp_terms terms;   /* where no line of the policy says otherwise */
	struct sockeye__port_range ports;   /* of transfers */
	bool single_port;                   /* transfers have no port of their own */
	bool unique_root;                   /* a folder for each client's address */
	bool broadcast;          /* answer requests to everybody, too (RFC 1123 4.2.3.5) */
	uint32_t transfers_max;  /* at once, over all workers; 0: 8192 */
	uint32_t per_source_max; /* from one address; 0: 2048 */
	uint32_t requests_per_s; /* of one source, that nobody confirmed; 0: 100, not
				  * for loopback */
	uint64_t rto_first_ns;   /* 0: 1 s */

	/* Called in the worker; may be NULL. */
	void (*on_transfer)(void *arg, const struct sockeye__tftp_report *report);
	void *arg;
};

struct sockeye__tftp_server;
struct sockeye__crew_spec;

/* Opens the root folder and reads the rules. 0, or a negative code with *fail. */
int sockeye__tftp_server_open(struct sockeye__tftp_server **out,
			      const struct sockeye__tftp_server_config *config,
			      struct sockeye_fail *fail);
void sockeye__tftp_server_close(struct sockeye__tftp_server *server);

/* The crew that serves it, for sockeye__serve_crews(). */
const struct sockeye__crew_spec *
sockeye__tftp_server_crew(const struct sockeye__tftp_server *server);

/* Its name, summary and port: it has no turns. */
extern const struct sockeye_service sockeye__tftp_service;

#endif
