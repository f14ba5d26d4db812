/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own log: a fixed phrase, then typed pairs. Only daemon, job and the roofs log above debug. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum LogLevel { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } LogLevel;
typedef enum LogFormat { LOG_FORMAT_TEXT, LOG_FORMAT_JSON } LogFormat;

typedef struct LogPair {
	const char *key;
	enum { LOG_PAIR_TEXT, LOG_PAIR_INT, LOG_PAIR_REAL } kind;
	const char *text;
	int64_t number;
	double real;
} LogPair;

/** Text when stderr is a terminal, JSON lines otherwise; below `level` nothing is written. */
void log_setup(LogLevel level, LogFormat format);
LogFormat log_default_format(void);
bool log_level_parse(const char *word, LogLevel *out);
/** One line, in one write, to stderr. Pairs end at count. Thread: any. */
void log_write(LogLevel level, const char *phrase, const LogPair *pairs, size_t count);

static inline LogPair log_pair_text(const char *key, const char *text)
{
	return (LogPair){.key = key, .kind = LOG_PAIR_TEXT, .text = text ? text : "-"};
}
static inline LogPair log_pair_int(const char *key, int64_t number)
{
	return (LogPair){.key = key, .kind = LOG_PAIR_INT, .number = number};
}
static inline LogPair log_pair_real(const char *key, double real)
{
	return (LogPair){.key = key, .kind = LOG_PAIR_REAL, .real = real};
}

/** A typed pair: KV("run", id), KV("job", name), KV("seconds", 1.5). */
#define KV(key, value)                                                                             \
	_Generic((value), char *: log_pair_text, const char *: log_pair_text, float: log_pair_real, \
	        double: log_pair_real, default: log_pair_int)(key, value)

#define LOG_AT(level, phrase, ...)                                                                  \
	log_write(level, phrase, (const LogPair[]){{0}, __VA_ARGS__} + 1,                           \
	        sizeof((const LogPair[]){{0}, __VA_ARGS__}) / sizeof(LogPair) - 1)
/* The pairs are optional: log_info("stopping"); log_info("job started", KV("run", id)); */
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__, )
#define log_warning(...) LOG_AT(LOG_LEVEL_WARNING, __VA_ARGS__, )
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__, )
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__, )
