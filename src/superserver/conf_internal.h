/* conf_internal.h: shared by the files that read and print a configuration. */
#ifndef SOCKEYE_SUPERSERVER_CONF_INTERNAL_H
#define SOCKEYE_SUPERSERVER_CONF_INTERNAL_H

#include <string.h>

#include "superserver/conf.h"
#include "superserver/conf_words.h"

/* A configuration that is being read. */
struct sockeye__conf_reading {
	struct sockeye__conf *conf;
	const struct sockeye__conf_world *world;
	bool compat;
	bool failed; /* memory is short */
	size_t services_room;
	unsigned files;                             /* read so far */
	unsigned defaults;                          /* entries so far */
	const char *stack[SOCKEYE__CONF_DEPTH_MAX]; /* the files that include each other */
	unsigned depth;
};

/* Allocates zeroed memory that sockeye__conf_free() frees. Returns NULL, and sets
 * r->failed, if memory is short. */
void *sockeye__conf_alloc(struct sockeye__conf_reading *r, size_t size);
/* Copies a text. */
const char *sockeye__conf_text(struct sockeye__conf_reading *r, struct sockeye__slice text);

/* Reports a deviation: an error for the strict reader, a warning for the compatible one. */
#define SOCKEYE__CONF_PROBLEM(r, place, ...) \
	sockeye__conf_note(&(r)->conf->notes, \
			   (r)->compat ? SOCKEYE__CONF_WARNING : SOCKEYE__CONF_ERROR, place, \
			   __VA_ARGS__)

/* conf_attributes.c. Finds an attribute by its name in a file, or returns
 * SOCKEYE__CONF_ATTRIBUTES. */
enum sockeye__conf_attribute sockeye__conf_attribute_find(struct sockeye__slice name);
/* Returns the name of a known attribute that resembles a wrong one, or NULL. */
const char *sockeye__conf_attribute_like(struct sockeye__slice name);

/* conf_values.c. A value in a file. */
struct sockeye__conf_value {
	const struct sockeye__conf_info *info;
	struct sockeye__conf_place place;
	enum sockeye__conf_operator op;
	struct sockeye__slice words;
};
/* Stores a value in *field. Returns 0, or -EINVAL after a note about it. */
int sockeye__conf_value_read(struct sockeye__conf_reading *r,
			     const struct sockeye__conf_value *value, void *field);
/* Returns the smallest and the largest number of words that a kind may have. */
struct sockeye__conf_arity {
	size_t min, max;
};
/* Returns the size of a field of this kind. */
size_t sockeye__conf_kind_size(enum sockeye__conf_kind kind);
struct sockeye__conf_arity sockeye__conf_kind_arity(enum sockeye__conf_kind kind);

/* conf_lists.c. Read values with any number of words. */
int sockeye__conf_words_read(struct sockeye__conf_reading *r,
			     const struct sockeye__conf_value *value, void *field);
int sockeye__conf_env_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			   void *field);
int sockeye__conf_bits_read(struct sockeye__conf_reading *r,
			    const struct sockeye__conf_value *value, void *field);
int sockeye__conf_addresses_read(struct sockeye__conf_reading *r,
				 const struct sockeye__conf_value *value, void *field);
int sockeye__conf_spans_read(struct sockeye__conf_reading *r,
			     const struct sockeye__conf_value *value, void *field);
int sockeye__conf_log_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			   void *field);
/* Writes the words of a list, for a message. */
struct sockeye__conf_known {
	char text[200];
};
struct sockeye__conf_known sockeye__conf_known_words(const char *const *words);
/* Returns the row of a word, without regard to case, or -1. */
int sockeye__conf_word_find(const char *const *words, struct sockeye__slice word);

/* Reports that a service cannot be started. */
#define SOCKEYE__CONF_DROP(r, service, place, ...) \
	do { \
		SOCKEYE__CONF_PROBLEM(r, place, __VA_ARGS__); \
		(service)->state = SOCKEYE__CONF_DROPPED; \
	} while (0)

#define SOCKEYE__CONF_HAS(service, attribute) \
	sockeye__conf_has(service, SOCKEYE__CONF_A_##attribute)
#define SOCKEYE__CONF_PLACE(service, attribute) \
	((service)->given[SOCKEYE__CONF_A_##attribute].place)

static inline bool sockeye__conf_is_type(const struct sockeye__conf_service *service, unsigned type)
{
	return (service->type & type) != 0;
}

static inline bool sockeye__conf_has_flag(const struct sockeye__conf_service *service,
					  unsigned flag)
{
	return (service->flags & flag) != 0;
}

static inline bool sockeye__conf_is_mux_client(const struct sockeye__conf_service *service)
{
	return sockeye__conf_is_type(service,
				     SOCKEYE__CONF_TYPE_TCPMUX | SOCKEYE__CONF_TYPE_TCPMUXPLUS);
}

/* Compares without regard to case. */
static inline bool sockeye__conf_text_is(const char *a, const char *b)
{
	return sockeye__conf_word_is((struct sockeye__slice){a, strlen(a)}, b);
}

/* Marks a value as derived from others. */
static inline void sockeye__conf_set_derived(struct sockeye__conf_service *service,
					     enum sockeye__conf_attribute attribute)
{
	service->given[attribute] =
	    (struct sockeye__conf_given){service->place, SOCKEYE__CONF_DERIVED};
}

/* conf_service.c. Finds the port of a service, and checks the service. */
void sockeye__conf_service_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s);

/* conf_check.c. Completes the services after all files have been read, and checks them. */
void sockeye__conf_finish(struct sockeye__conf_reading *r);

/* conf_entry.c. Read an entry, whose header has been read. *found: whether the file has had
 * a defaults entry before. */
void sockeye__conf_service_read(struct sockeye__conf_reading *r, struct sockeye__conf_words *words,
				const struct sockeye__conf_item *header);
void sockeye__conf_defaults_read(struct sockeye__conf_reading *r, struct sockeye__conf_words *words,
				 const struct sockeye__conf_item *header, bool *found);

/* Adds a service to the configuration, or returns NULL. */
struct sockeye__conf_service *sockeye__conf_service_add(struct sockeye__conf_reading *r,
							struct sockeye__conf_place place,
							struct sockeye__slice name);
/* Stores the value of a line in a service or in defaults, or reports why it cannot. */
void sockeye__conf_attribute_apply(struct sockeye__conf_reading *r,
				   const struct sockeye__conf_item *item, const char *file,
				   struct sockeye__conf_service *entry);
static inline void *sockeye__conf_field(struct sockeye__conf_service *service,
					enum sockeye__conf_attribute attribute)
{
	return (char *)service + sockeye__conf_infos[attribute].offset;
}

/* conf_inetd.c. Reads a text in the language of inetd.conf(5). */
void sockeye__conf_inetd_read(struct sockeye__conf_reading *r, const char *file, const char *text,
			      size_t len);
/* Returns the number of the first line that is not a comment if it is a line of inetd.conf(5),
 * otherwise 0. */
unsigned sockeye__conf_inetd_detect(const char *text, size_t len);

#endif
