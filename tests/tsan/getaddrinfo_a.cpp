// Linked into what runs with the sanitizer for threads: that crashes on a thread which glibc starts
// for itself. getaddrinfo_a starts one, and cpp-httplib 0.41 of Debian sid calls it to look up a
// host. This one looks up on the caller's thread.

#include <netdb.h>

extern "C" int getaddrinfo_a(int, gaicb* requests[], int count, sigevent*) {
    for (gaicb* const* r = requests; r != requests + count; ++r) {
        (*r)->__return =
            ::getaddrinfo((*r)->ar_name, (*r)->ar_service, (*r)->ar_request, &(*r)->ar_result);
    }
    return 0;
}
