// A field named like a keyword of C++ only can be said in C++.
#include "table.h"
int main() {
    net_inputs in = {};
    return in.static_assert_ != nullptr || net_info.input_count != 6;
}
