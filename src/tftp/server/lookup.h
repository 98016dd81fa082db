/*
 * lookup.h: turns the name in a request into the name of a file below the root. Applies
 * the map, the directory of the client, and letter case, in this order.
 */
#ifndef SOCKEYE_TFTP_SERVER_LOOKUP_H
#define SOCKEYE_TFTP_SERVER_LOOKUP_H

#include "tftp/server/map.h"
#include "tftp/server/store.h"

struct sockeye__tftp_lookup {
	const struct sockeye__tftp_map *map; /* may be NULL */
	struct sockeye__tftp_store *store;   /* NULL: as if no file existed */
	struct sockeye__tftp_name_rules names;
	bool fold_case;     /* use the name in lower case if no file has the exact one */
	const char *folder; /* sockeye__tftp_store_client_folder(); NULL: clients have none */
};

/* Finds the name. Fails like sockeye__tftp_map_request(), or with -EADDRNOTAVAIL for an upload
 * if the directory of the client is unknown. */
int sockeye__tftp_lookup(const struct sockeye__tftp_lookup *lookup,
			 const struct sockeye_sockaddr *client, bool upload,
			 struct sockeye__span name, const struct sockeye__tftp_map_watch *watch,
			 struct sockeye__tftp_mapped *out);

#endif
