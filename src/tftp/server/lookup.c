/* lookup.c: see lookup.h. */
#include "tftp/server/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"

struct asker {
	const struct sockeye__tftp_lookup *lookup;
	const struct sockeye_sockaddr *client;
	bool upload;
};

static void fold(char *name)
{
	for (; *name != '\0'; name++)
		*name = sockeye__ascii_lower(*name);
}

static bool has(const struct sockeye__tftp_lookup *k, const char *name)
{
	return k->store != NULL && sockeye__tftp_store_has(k->store, name);
}

/* Applies the client's directory and letter case to a name to which the map was applied.
 * Returns 0 or -ENAMETOOLONG. */
static int place(const struct asker *a, char *name)
{
	const struct sockeye__tftp_lookup *k = a->lookup;
	int err = 0;

	if (k->folder != NULL && k->store != NULL)
		err = sockeye__tftp_store_client_folder(k->store, k->folder, a->upload, name,
							SOCKEYE__TFTP_NAME_MAX);
	if (err == 0 && k->fold_case && !has(k, name))
		fold(name);
	return err;
}

/* For struct sockeye__tftp_map_files. */
static bool map_has(void *arg, const char *name)
{
	const struct asker *a = arg;
	char placed[SOCKEYE__TFTP_NAME_MAX];

	snprintf(placed, sizeof placed, "%s", name);
	return place(a, placed) == 0 && has(a->lookup, placed);
}

int sockeye__tftp_lookup(const struct sockeye__tftp_lookup *lookup,
			 const struct sockeye_sockaddr *client, bool upload,
			 struct sockeye__span name, const struct sockeye__tftp_map_watch *watch,
			 struct sockeye__tftp_mapped *out)
{
	struct asker asker = {lookup, client, upload};
	const struct sockeye__tftp_map_files files = {map_has, &asker};
	int err = sockeye__tftp_map_request(lookup->map, &lookup->names, client, upload, name,
					    &files, watch, out);

	return err < 0 || out->denied ? err : place(&asker, out->name);
}
