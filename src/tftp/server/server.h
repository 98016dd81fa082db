/*
 * server.h: the TFTP server of `sockeye serve tftp`, a service with its own event loop.
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
#include "tftp/server/client_folder.h"
#include "tftp/server/map.h"
#include "tftp/server/policy.h"
#include "tftp/server/store.h"
#include "tftp/wire.h"

/* The limit that refused a request. */
enum sockeye__tftp_limit {
	SOCKEYE__TFTP_LIMIT_NONE,
	SOCKEYE__TFTP_LIMIT_TRANSFERS, /* transfers_max */
	SOCKEYE__TFTP_LIMIT_SOURCE,    /* per_source_max */
	SOCKEYE__TFTP_LIMIT_PORTS,     /* ports */
	SOCKEYE__TFTP_LIMIT_RATE,      /* requests_per_s */
	SOCKEYE__TFTP_LIMIT_TOTAL,     /* upload_total */
};

/* A transfer that has ended, or a request that was refused. */
struct sockeye__tftp_report {
	const struct sockeye_sockaddr *peer;
	bool upload;
	bool netascii;
	const char *name;           /* of the file; any bytes */
	struct sockeye__span asked; /* the name in the request */
	uint64_t bytes;             /* of the file that the receiver has */
	uint64_t elapsed_ns;
	struct sockeye__tftp_options options; /* granted */
	struct sockeye__tftp_counters count;
	uint16_t blksize, window;
	bool refused;                   /* no transfer began */
	enum sockeye__tftp_limit limit; /* that refused or ended it */
	bool confirmed;                 /* the client answered: its address is not forged */
	bool done;
	bool probe;                     /* the client only asked for the size (UEFI) */
	const char *text;               /* how it ended */
	struct sockeye__span peer_text; /* of the client's ERROR; any bytes */
	int code;                       /* of the ERROR that was sent or received; -1: none */
	int err;                        /* a negative errno that caused it; 0: none */
	const char *detail;             /* more about the cause; NULL: nothing */
	const struct sockeye__tftp_trouble *trouble; /* the cause in the network; NULL: none */
};

/* Every member except store.root may be zero, which selects its default. */
struct sockeye__tftp_server_config {
	struct sockeye__tftp_store_config store;
	struct sockeye__tftp_name_rules names;
	const char *map_path, *policy_path; /* NULL: none */
	struct sockeye__tftp_terms terms;   /* if no line of the policy applies */
	struct sockeye__port_range ports;   /* of transfers */
	bool single_port;                   /* transfers use the site's port */
	bool fold_case;                     /* lookup.h */
	enum sockeye__tftp_unique_root unique_root;
	bool broadcast;          /* answer broadcasts (RFC 1123, section 4.2.3.5) */
	uint32_t transfers_max;  /* at a time, across all workers; 0: 8192 */
	uint32_t per_source_max; /* transfers of one source; 0: 2048 */
	uint32_t requests_per_s; /* unconfirmed requests of one source; 0: 100, but
				  * no limit for loopback */
	uint64_t upload_total;   /* bytes by which uploads may make the directory grow
				  * while the server runs; 0: no limit */
	uint64_t rto_first_ns;   /* 0: 1 s */
	uint64_t give_up_ns;     /* how long a client may be silent before its
				  * transfer ends; 0: 30 s or five negotiated
				  * timeouts, whichever is longer */

	/* Called in the worker for each transfer and refused request; may be NULL. */
	void (*on_transfer)(void *arg, const struct sockeye__tftp_report *report);
	void *arg;
};

struct sockeye__tftp_server;
struct sockeye__crew_spec;

/* Opens the root directory and reads the rules, which may need privileges. Returns 0, or
 * a negative code with *fail filled in. */
int sockeye__tftp_server_open(struct sockeye__tftp_server **out,
			      const struct sockeye__tftp_server_config *config,
			      struct sockeye_fail *fail);
void sockeye__tftp_server_close(struct sockeye__tftp_server *server);

/* Returns the crew that runs the server, for sockeye__serve_crews(). */
const struct sockeye__crew_spec *
sockeye__tftp_server_crew(const struct sockeye__tftp_server *server);

/* Name, summary and port of the service. It has no turn function. */
extern const struct sockeye_service sockeye__tftp_service;

#endif
