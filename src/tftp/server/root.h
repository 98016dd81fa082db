/*
 * root.h: the root directory of a server: checks it, opens it again when it was replaced, and
 * hands the sites to workers that have the new one.
 */
#ifndef SOCKEYE_TFTP_SERVER_ROOT_H
#define SOCKEYE_TFTP_SERVER_ROOT_H

#include "tftp/server/internal.h"

/* --- root.c --- */

/* In the supervisor: opens the root again if it was replaced, or reports the failure. Returns true
 * if new workers must replace the present ones (crew.h). */
bool sockeye__tftp_root_renew(struct sockeye__tftp_server *s, const struct sockeye__server *server,
			      const struct sockeye__crew *crew, bool again);

/* Reports that the root was replaced. */
void sockeye__tftp_root_renewed(const struct sockeye__tftp_server *s,
				const struct sockeye__server *server);

/* --- root_check.c --- */

/* Checks that this process may enter the root and, for uploads, write to the root or to one of
 * its entries. Returns 0, -EACCES (cannot enter), -EPERM (cannot write) or -EROFS. */
int sockeye__tftp_root_check(const struct sockeye__tftp_store *store);
/* Fills in *fail for an error of sockeye__tftp_root_check(), with a command that grants the
 * missing permission. */
void sockeye__tftp_root_explain(const struct sockeye__tftp_store *store, const char *user, int err,
				struct sockeye_fail *fail);

/* --- handover.c --- */

/* Watches the sites for packets, or stops watching them. Returns 0 or -errno. */
int sockeye__tftp_sites_watch(struct sockeye__tftp_worker *w, bool on);
/* If the root was replaced, asks the supervisor for a worker that can open the new one, and
 * leaves the packets to it. Returns whether this worker serves the sites. */
bool sockeye__tftp_may_serve(struct sockeye__tftp_worker *w);
/* Handles what the supervisor or a newer worker has sent. */
void sockeye__tftp_link_ready(struct sockeye__tftp_worker *w);
/* Serves the sites again if the supervisor does not answer. */
void sockeye__tftp_handover_timer(struct sockeye__tftp_worker *w);
/* When sockeye__tftp_handover_timer() is due; 0: never. */
uint64_t sockeye__tftp_handover_due_ns(const struct sockeye__tftp_worker *w);
/* Closes the links to older workers that have ended; in single-port mode, watches the others.
 * In the other mode they are not needed. */
void sockeye__tftp_older_watch(struct sockeye__tftp_worker *w);
/* Whether older workers have transfers whose packets this worker must pass on. */
bool sockeye__tftp_has_older(const struct sockeye__tftp_worker *w);

#endif
