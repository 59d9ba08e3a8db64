// --verify-diagnostics: the messages that a text expects, in comments `// expected-error@+1 {{part of the text}}`
// (error, warning or note; @+N, @-N or nothing: relative to the comment's line), against those that were reported.
#pragma once
#include "ir/diag.h"

// Each expectation must be met by one message of its line, and each message expected. Differences go to standard error.
bool expect_messages(const Diag *diag, const char *file, const char *text, size_t bytes);
