#include "net/url.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>

TEST_CASE("a URL is taken apart into host, port and target") {
    struct Case {
        const char* text;
        const char* host;
        int port;
        const char* target;
    };
    for (const Case& c : {
             Case{"http://127.0.0.1:8080", "127.0.0.1", 8080, "/"},
             Case{"HTTP://Example.com", "Example.com", 80, "/"},
             Case{"http://example.com:", "example.com", 80, "/"},
             Case{"http://a-b_c.d/x/y?z=1", "a-b_c.d", 80, "/x/y?z=1"},
             Case{"http://h?error=true", "h", 80, "/?error=true"},
             Case{"http://h#part", "h", 80, "/"},
             Case{"http://h/a#b?c", "h", 80, "/a"},
             Case{"http://[::1]:65535/", "::1", 65535, "/"},
             Case{"http://h/a:b@c", "h", 80, "/a:b@c"},
             Case{"http://h/%41%ff", "h", 80, "/%41%ff"},
         }) {
        CAPTURE(c.text);
        const auto [url, error] = parse_url(c.text);
        CHECK(error == "");
        CHECK(url.host == c.host);
        CHECK(url.port == c.port);
        CHECK(url.target == c.target);
    }
}

TEST_CASE("a Host header has the brackets of IPv6, and a port unless it is 80") {
    for (const auto& [text, host] :
         {std::pair("http://[::1]/", "[::1]"), std::pair("http://[::1]:80/", "[::1]"),
          std::pair("http://[::1]:8080/", "[::1]:8080"),
          std::pair("http://Example.com", "Example.com"),
          std::pair("http://127.0.0.1:81?x", "127.0.0.1:81")}) {
        CHECK(host_header(parse_url(text).url) == host);
    }
}

TEST_CASE("a text that is not a URL is refused with a reason") {
    struct Case {
        std::string text;
        const char* reason;
    };
    for (const Case& c : {
             Case{"", "missing protocol scheme"},
             Case{"127.0.0.1:80", "unsupported protocol scheme \"127.0.0.1\""},
             Case{"://h", "missing protocol scheme"},
             Case{"/path", "missing protocol scheme"},
             Case{"https://h", "unsupported protocol scheme \"https\""},
             Case{"ftp://h", "unsupported protocol scheme \"ftp\""},
             Case{"http", "missing protocol scheme"},
             Case{"http:", "no host in URL"},
             Case{"http:/h", "no host in URL"},
             Case{"http://", "no host in URL"},
             Case{"http:///path", "no host in URL"},
             Case{"http://:80", "no host in URL"},
             Case{"http://[::1", "missing ']' in host"},
             Case{"http://[]", "no host in URL"},
             Case{"http://[g]", "invalid address \"[g]\""},
             Case{"http://[cafe]/", "invalid address \"[cafe]\""},
             Case{std::string("http://[::1\0]/", 14), "invalid address \"[::1\\x00]\""},
             Case{"http://[127.0.0.1]/", "invalid address \"[127.0.0.1]\""},
             Case{"http://[1::2::3]/", "invalid address \"[1::2::3]\""},
             Case{"http://[::1]80", "invalid port \"80\" after host"},
             Case{"http://h:port", "invalid port \":port\" after host"},
             Case{"http://h:0", "invalid port \":0\" after host"},
             Case{"http://h:65536", "invalid port \":65536\" after host"},
             Case{"http://h:-1", "invalid port \":-1\" after host"},
             Case{"http://h:80:80", "invalid port \":80:80\" after host"},
             Case{"http://h:99999999999999999999",
                  "invalid port \":99999999999999999999\" after host"},
             Case{"http://user:pass@h", "user information is not supported"},
             Case{"http://a b", "invalid character \" \" in host name"},
             Case{"http://h/a b", "invalid character \" \" in URL"},
             Case{"http://h/\r\nHost: evil", "invalid character \"\\x0d\" in URL"},
             Case{"http://h\r\n", "invalid character \"\\x0d\" in host name"},
             Case{"http://h/\xc3\xa9", "invalid character \"\\xc3\" in URL"},
             Case{std::string("http://h/\0", 10), "invalid character \"\\x00\" in URL"},
             Case{"http://h/%", "invalid URL escape \"%\""},
             Case{"http://h/%4", "invalid URL escape \"%4\""},
             Case{"http://h/%zz", "invalid URL escape \"%zz\""},
         }) {
        CAPTURE(c.text);
        CHECK(parse_url(c.text).error == c.reason);
    }
}

TEST_CASE("a quoted text is one line of ASCII, whatever it holds") {
    CHECK(quote("a\"b\\c\n\x7f\xff") == R"("a\"b\\c\x0a\x7f\xff")");
}
