/* rules.c: read the rules for names and clients (internal.h). */
#include "tftp/server/internal.h"

int sockeye__tftp_rules_read(struct sockeye__tftp_server *s, struct sockeye_fail *fail)
{
	const struct sockeye__tftp_server_config *c = &s->config;
	struct sockeye__tftp_map *map;
	struct sockeye__tftp_rules *policy;
	int err = sockeye__tftp_map_open(c->map_path, &map, fail);

	if (err < 0)
		return err;
	err = sockeye__tftp_policy_open(c->policy_path, &policy, fail);
	if (err < 0) {
		sockeye__tftp_map_free(map);
		return err;
	}
	sockeye__tftp_map_free(s->map);
	sockeye__tftp_policy_free(s->policy);
	s->map = map;
	s->policy = policy;
	return 0;
}
