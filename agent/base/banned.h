/* SPDX-License-Identifier: Apache-2.0 */
/* Calls we do not make, as compile errors. The build includes this file into every one of ours. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets
#pragma GCC poison system popen tmpnam mktemp
#pragma GCC poison gmtime localtime asctime
/* ctime() too, but structs of others have fields of this name: a call names a function that is not there. */
#define ctime(time) banned_ctime_use_clock_text_instead(time)
#pragma GCC poison atoi atol atoll atof
