/* sockeye.h: includes all public headers of libsockeye. */
#ifndef SOCKEYE_H
#define SOCKEYE_H

#include <sockeye/addr.h>
#include <sockeye/dgram.h>
#include <sockeye/error.h>
#include <sockeye/serve.h>
#include <sockeye/service.h>
#include <sockeye/sockaddr.h>
#include <sockeye/stream.h>
#include <sockeye/text.h>
#include <sockeye/time.h>

#endif
