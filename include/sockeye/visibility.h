/* visibility.h: marks the functions that the shared library exports, and gives them C
 * linkage in C++. */
#ifndef SOCKEYE_VISIBILITY_H
#define SOCKEYE_VISIBILITY_H

#define SOCKEYE_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define SOCKEYE_BEGIN extern "C" {
#define SOCKEYE_END   }
#else
#define SOCKEYE_BEGIN
#define SOCKEYE_END
#endif

#endif
