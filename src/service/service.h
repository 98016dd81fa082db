/*
 * service.h: the built-in services, one file each; builtins.c has the table.
 */
#ifndef SOCKEYE_SERVICE_SERVICE_H
#define SOCKEYE_SERVICE_SERVICE_H

#include <sockeye/service.h>

extern const struct sockeye_service sockeye__echo;
extern const struct sockeye_service sockeye__discard;
extern const struct sockeye_service sockeye__chargen;
extern const struct sockeye_service sockeye__daytime;
extern const struct sockeye_service sockeye__time;
extern const struct sockeye_service sockeye__upper;
extern const struct sockeye_service sockeye__reply;

#endif
