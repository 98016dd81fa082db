/*
 * conf_files.h: what the reader of a configuration asks the system for: files, the ports of
 * services(5), and the names of hosts, networks, programs, users and groups.
 */
#ifndef SOCKEYE_SUPERSERVER_CONF_FILES_H
#define SOCKEYE_SUPERSERVER_CONF_FILES_H

#include "superserver/conf.h"

/* Reads regular files of at most SOCKEYE__RULES_FILE_MAX bytes. A relative path is relative
 * to the working directory. Looking up a name may wait for a name server. */
extern const struct sockeye__conf_world sockeye__conf_files;

#endif
