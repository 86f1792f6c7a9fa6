/* A DLL; with USED a part of another one that needs it. */
#ifdef USED
__declspec(dllimport) int beside(void);

__declspec(dllexport) int uses_beside(void) {
    return beside();
}
#else
__declspec(dllexport) int beside(void) {
    return 7;
}
#endif
