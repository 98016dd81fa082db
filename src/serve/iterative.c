/*
 * iterative.c: one client after another, in one process. The simplest model, and the
 * fastest for a single client. A client that sends nothing blocks all others until
 * opts.idle_ms has passed.
 */
#include "serve/models.h"

#include <errno.h>

static void run(struct sockeye__worker *w)
{
	struct sockeye__gate gate;
	struct sockeye__visit v;
	struct sockeye__answerer *answerer = sockeye__answerer_new(w);
	enum sockeye__gate_kind kind;
	size_t site;
	int err = answerer == NULL ? -ENOMEM : sockeye__gate_open(&gate, w, -1);

	if (err < 0) {
		sockeye__cannot_start(w, err);
		sockeye__answerer_free(answerer);
		return;
	}
	while ((kind = sockeye__gate_next(&gate, &v, &site)) != SOCKEYE__GATE_STOP) {
		if (kind == SOCKEYE__GATE_VISIT)
			sockeye__dismiss(w, &v, sockeye__session_run(w, &v));
		else
			sockeye__answer(answerer, site);
	}
	for (size_t i = 0; i < w->crew->site_count; i++)
		while (!w->crew->sites[i].stream && sockeye__answer(answerer, i))
			; /* datagrams that arrived before the stop */
	sockeye__gate_close(&gate);
	sockeye__answerer_free(answerer);
}

const struct sockeye__model sockeye__model_iterative = {
    .facts =
	{
	    .name = "iterative",
	    .summary = "one client after another in one process",
	    .workers = 1,
	    .one_session = true,
	},
    .run = run,
};
