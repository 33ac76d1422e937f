// The other half of one.cpp: a key and its value are shared by both.
#include "context.hpp"

inline const context::Key<int> key{"shared"};

const context::Key<int>& shared_key() { return key; }

int read_shared_key(const context::Context& ctx) {
    const int* const value = ctx.value(key);
    return value ? *value : 0;
}
