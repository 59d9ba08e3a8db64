// HTML text: what must be escaped in it, and in attributes in double quotes.
#pragma once
#include <stdio.h>

// Bytes of the UTF-8 character at `text`, 0 where there is none: overlong forms, surrogates and bytes that fit nowhere.
static inline int utf8_length(const unsigned char *text) {
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    const int length = *text < 0x80 ? 1 : *text >> 5 == 6 ? 2 : *text >> 4 == 14 ? 3 : *text >> 3 == 30 ? 4 : 0;
    unsigned code = length == 1 ? *text : *text & (0x7Fu >> length);
    for (int i = 1; i < length; i++) {
        if (text[i] >> 6 != 2) return 0;
        code = code << 6 | (text[i] & 0x3Fu);
    }
    return code >= least[length] && code <= 0x10FFFF && code >> 11 != 0x1B ? length : 0;
}

static inline void html_text(FILE *out, const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        const int length = utf8_length(at);
        if (!length || *at < 0x20 || *at == 0x7F) fputs("&#xFFFD;", out);
        else if (*at == '&') fputs("&amp;", out);
        else if (*at == '<') fputs("&lt;", out);
        else if (*at == '>') fputs("&gt;", out);
        else if (*at == '"') fputs("&quot;", out);
        else if (*at == '\'') fputs("&#39;", out);
        else fwrite(at, 1, (size_t)length, out);
        at += length ? length : 1;
    }
}
