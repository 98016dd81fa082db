/*
 * rules.c: the rules for names and clients (internal.h).
 *
 * The supervisor reads the files, at the start and after SIGHUP, and hands their text to the
 * workers in shared memory. So workers need not open any file, and a file may be replaced by
 * another one. A worker that finds the text in the middle of a change keeps its rules: the
 * supervisor signals it again when the change is complete.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tftp/server/internal.h"

#ifndef __clang__
/* ThreadSanitizer does not know fences, and does not see other processes. */
#pragma GCC diagnostic ignored "-Wtsan"
#endif

enum { MAP, POLICY, KINDS };

static const struct sockeye__rules_kind *const kinds[KINDS] = {
    [MAP] = &sockeye__tftp_map_kind,
    [POLICY] = &sockeye__tftp_policy_kind,
};

struct sockeye__tftp_rules_text {
	unsigned version; /* odd during a change */
	struct {
		size_t len;
		char text[SOCKEYE__RULES_FILE_MAX];
	} of[KINDS];
};

static const char *path_of(const struct sockeye__tftp_server *s, int kind)
{
	return kind == MAP ? s->config.map_path : s->config.policy_path;
}

static void sources_close(struct sockeye__rules_source sources[KINDS])
{
	for (int i = 0; i < KINDS; i++)
		sockeye__rules_source_close(&sources[i], kinds[i]);
}

/* Replaces the rules with those of the sources, and frees the texts. */
static void use(struct sockeye__tftp_server *s, struct sockeye__rules_source sources[KINDS])
{
	sockeye__tftp_map_free(s->map);
	sockeye__tftp_policy_free(s->policy);
	s->map = sources[MAP].rules;
	s->policy = sources[POLICY].rules;
	sources[MAP].rules = sources[POLICY].rules = NULL;
	sources_close(sources);
}

static void publish(struct sockeye__tftp_rules_text *shared,
		    const struct sockeye__rules_source sources[KINDS])
{
	__atomic_add_fetch(&shared->version, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < KINDS; i++) {
		shared->of[i].len = sources[i].len;
		if (sources[i].len > 0)
			memcpy(shared->of[i].text, sources[i].text, sources[i].len);
	}
	__atomic_add_fetch(&shared->version, 1, __ATOMIC_SEQ_CST);
}

int sockeye__tftp_rules_open(struct sockeye__tftp_server *s)
{
	s->rules_text = mmap(NULL, sizeof *s->rules_text, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->rules_text == MAP_FAILED) {
		s->rules_text = NULL;
		return -ENOMEM;
	}
	return 0;
}

void sockeye__tftp_rules_close(struct sockeye__tftp_server *s)
{
	sockeye__tftp_map_free(s->map);
	sockeye__tftp_policy_free(s->policy);
	if (s->rules_text != NULL)
		munmap(s->rules_text, sizeof *s->rules_text);
}

int sockeye__tftp_rules_read(struct sockeye__tftp_server *s, struct sockeye_fail *fail)
{
	struct sockeye__rules_source sources[KINDS] = {{.text = NULL}};
	int err = 0;

	for (int i = 0; i < KINDS && err == 0; i++)
		err = sockeye__rules_source_open(&sources[i], path_of(s, i), kinds[i], fail);
	if (err < 0) {
		sources_close(sources);
		return err;
	}
	publish(s->rules_text, sources);
	use(s, sources);
	return 0;
}

void sockeye__tftp_rules_protect(const struct sockeye__tftp_server *s)
{
	(void)mprotect(s->rules_text, sizeof *s->rules_text, PROT_READ);
}

/* Copies the texts. Returns 0, -ENOMEM, or -EAGAIN if the supervisor is changing them. */
static int texts_copy(const struct sockeye__tftp_server *s,
		      struct sockeye__rules_source sources[KINDS])
{
	const struct sockeye__tftp_rules_text *shared = s->rules_text;
	unsigned version = __atomic_load_n(&shared->version, __ATOMIC_SEQ_CST);

	for (int i = 0; i < KINDS; i++) {
		size_t len = shared->of[i].len;

		if (path_of(s, i) == NULL)
			continue;
		if (len > SOCKEYE__RULES_FILE_MAX)
			return -EAGAIN;
		sources[i].text = malloc(len + 1);
		if (sources[i].text == NULL)
			return -ENOMEM;
		memcpy(sources[i].text, shared->of[i].text, len);
		sources[i].text[len] = '\0';
		sources[i].len = len;
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (version % 2 != 0 || version != __atomic_load_n(&shared->version, __ATOMIC_SEQ_CST))
		return -EAGAIN;
	return 0;
}

int sockeye__tftp_rules_take(struct sockeye__tftp_server *s)
{
	struct sockeye__rules_source sources[KINDS] = {{.text = NULL}};
	struct sockeye__rules_error error;
	int err = texts_copy(s, sources);

	for (int i = 0; i < KINDS && err == 0; i++)
		if (sources[i].text != NULL)
			err = kinds[i]->parse(sources[i].text, sources[i].len, &sources[i].rules,
					      &error);
	if (err < 0) {
		sources_close(sources);
		return err;
	}
	use(s, sources);
	return 0;
}
