// Keeps the user's locale out of what HTTP says in ASCII.
#ifndef NET_PLAIN_LOCALE_HPP
#define NET_PLAIN_LOCALE_HPP

#include <locale.h>

// A ThreadLocale sets the locale of its thread; its destructor restores the one before.
class ThreadLocale {
public:
    explicit ThreadLocale(locale_t locale) : before_(::uselocale(locale)) {}
    ThreadLocale(const ThreadLocale&) = delete;
    ThreadLocale& operator=(const ThreadLocale&) = delete;
    ~ThreadLocale() { ::uselocale(before_); }

private:
    const locale_t before_;
};

// While a PlainLocale lives, its thread has the "C" locale. Some versions of cpp-httplib compare
// names as the locale does, and in a Turkish one `I` is not the capital of `i`.
class PlainLocale : ThreadLocale {
public:
    PlainLocale() : ThreadLocale(plain()) {}

private:
    static locale_t plain() {
        static const locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
        return plain;
    }
};

#endif  // NET_PLAIN_LOCALE_HPP
