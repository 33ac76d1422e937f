void first(), second(), third(), fourth();

void outer() {
    if (true) {
        first();
        second();

        third();
    }
    fourth();
}
