// Replaces operator new and delete for a whole program. So only one source file of a program
// includes it, and says before that, in namespace replaced_new, what happens then:
//
//     bool allocating();    before an allocation; if it returns false, that fails
//     void allocated();     after it
//     void freed();         before one is freed
#ifndef TESTS_REPLACED_NEW_HPP
#define TESTS_REPLACED_NEW_HPP

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

// Clang's sanitizer for threads brings operators, and a pthread_create, of its own and lets no
// program replace them. There the program says ok and ends. GCC's lets it; since GCC 14 it, too,
// has __has_feature.
#ifdef __clang__
#if __has_feature(thread_sanitizer)
#define NOTHING_REPLACED
inline const bool ended = (std::puts("ok"), std::exit(0), true);
#endif
#endif
#ifndef NOTHING_REPLACED
namespace replaced_new {

inline void* allocate(std::size_t size, std::size_t alignment) {
    if (!allocating()) throw std::bad_alloc();
    void* const p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (!p) throw std::bad_alloc();
    allocated();
    return p;
}

// Inlined where GCC does not inline the above, it would be warned of as no match for it.
[[gnu::noinline]] inline void release(void* p) {
    if (p) freed();
    std::free(p);
}

}  // namespace replaced_new

void* operator new(std::size_t size) {
    return replaced_new::allocate(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    return replaced_new::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { replaced_new::release(p); }
void operator delete(void* p, std::size_t) noexcept { replaced_new::release(p); }
void operator delete(void* p, std::align_val_t) noexcept { replaced_new::release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { replaced_new::release(p); }
#endif

#endif  // TESTS_REPLACED_NEW_HPP
