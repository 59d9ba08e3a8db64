// Numbers as text that is read back as the same number, in the fewest digits, as printf's %g writes them. Of a float these are found
// by arithmetic, where that leaves no doubt.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/type.h"

enum { MOST_DIGITS = 9, MOST_EXACT = 22, LEAST_FIXED = -4 }; // 10^22 is the last that a double holds

static const double powers[MOST_EXACT + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// Rounded once: `shift` is within MOST_EXACT.
static double times_power(double value, int shift) { return shift < 0 ? value / powers[-shift] : value * powers[shift]; }

typedef struct { int64_t digits; int count, exponent; } Decimal; // d.ddd x 10^exponent

// `size` > 0, a normal float. False: it is not certain what the fewest digits are.
static bool shortest(double size, Decimal *decimal) {
    int binary;
    const double mantissa = frexp(size, &binary), ulp = ldexp(1, binary - 24);
    int exponent = (int)floor(log10(size));
    if (mantissa == 0.5 || abs(exponent) > MOST_EXACT - MOST_DIGITS) return false; // below a power of two floats lie closer
    if (times_power(1, exponent) > size) exponent--;
    for (int count = 1; count <= MOST_DIGITS; count++) {
        const double digits = nearbyint(times_power(size, count - 1 - exponent)), off = fabs(times_power(digits, exponent - count + 1) - size);
        if (off > 0.51 * ulp) continue;
        *decimal = (Decimal){(int64_t)digits, count, exponent};
        return off < 0.49 * ulp && digits < powers[count] && digits >= powers[count - 1];
    }
    return false;
}

// As %.*g has it.
static size_t write_decimal(char *text, bool minus, const Decimal *decimal) {
    const char *begin = text;
    char digits[MOST_DIGITS];
    const int count = decimal->count, exponent = decimal->exponent;
    int64_t left = decimal->digits;
    for (int i = count - 1; i >= 0; i--, left /= 10) digits[i] = (char)('0' + left % 10);
    if (minus) *text++ = '-';
    const bool is_fixed = exponent >= LEAST_FIXED && exponent < decimal->count;
    const int whole = is_fixed ? exponent + 1 : 1; // digits before the point
    if (whole <= 0) *text++ = '0', *text++ = '.';
    for (int i = whole; i < 0; i++) *text++ = '0';
    for (int i = 0; i < count; i++) {
        if (i && i == whole) *text++ = '.';
        *text++ = digits[i];
    }
    *text = '\0';
    if (!is_fixed) text += snprintf(text, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    return (size_t)(text - begin);
}

size_t float_write(char text[FLOAT_TEXT], float value) {
    Decimal decimal;
    if (isnormal(value) && shortest(fabs((double)value), &decimal)) return write_decimal(text, value < 0, &decimal);
    int length = 0;
    for (int digits = 1; digits <= MOST_DIGITS; digits++) {
        length = snprintf(text, FLOAT_TEXT, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    return (size_t)length;
}

const char *float_text(Arena *arena, float value) {
    char text[FLOAT_TEXT];
    float_write(text, value);
    return arena_strdup(arena, text);
}

const char *double_text(Arena *arena, double value) {
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    return arena_strdup(arena, text);
}
