/*
 * ascii.h: the classes and cases of ASCII characters, the same in every locale.
 */
#ifndef SOCKEYE_BASE_ASCII_H
#define SOCKEYE_BASE_ASCII_H

#include <stdbool.h>

static inline bool sockeye__ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool sockeye__ascii_is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline char sockeye__ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline char sockeye__ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

#endif
