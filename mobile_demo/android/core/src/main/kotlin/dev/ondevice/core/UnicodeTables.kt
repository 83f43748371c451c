// Written by mobile_demo/contract/unicode_tables.py, from what the Python package tokenizers
// 0.23.3 answers. Do not edit; `unicode_tables.py --check` tells whether it is stale.
//
// How these are used is written in mobile_demo/contract/reference_wordpiece.py, which follows the
// reference tokenizer with nothing but these tables.
//
// Layout. Numbers in base 36, between white space.
//   PROPERTIES_TEXT, COMBINING_TEXT     runs: gap since the end of the last run, length, value
//   LOWERCASE_TEXT, DECOMPOSITION_TEXT  entries: gap since the last code point, count, code points

package dev.ondevice.core

/** What the reference tokenizer knows of each code point, whatever this platform's Unicode is. */
internal object UnicodeTables {
    /** White space: becomes one plain space, on which words are split. */
    const val SPACE = 1

    /** Dropped before anything else: control and format characters, private use, U+0000, U+FFFD. */
    const val REMOVED = 2

    /** Punctuation: a word of its own. Asked after normalization. */
    const val PUNCTUATION = 4

    /** An ideograph: a space is put before and after it. */
    const val IDEOGRAPH = 8

    /** A non-spacing mark: dropped with the accents. Asked of what a character decomposes into. */
    const val MARK = 16

    /** [lowercase] has an entry. */
    const val LOWERCASES = 32

    /** [decomposition] has an entry. */
    const val DECOMPOSES = 64

    /** [combiningClass] is not 0: NFD may put it elsewhere. */
    const val COMBINES = 128

    /** The bits above; 0 for a surrogate or a number that is no code point. */
    fun properties(codePoint: Int): Int =
        if (codePoint in 0 until SIZE) all[codePoint].toInt() and 0xFF else 0

    /** The lower case of a code point, null where it is itself. Do not change the array. */
    fun lowercase(codePoint: Int): IntArray? =
        if (properties(codePoint) and LOWERCASES == 0) null else lower[codePoint]

    /** The whole canonical decomposition, null where it is the code point itself. */
    fun decomposition(codePoint: Int): IntArray? {
        if (properties(codePoint) and DECOMPOSES == 0) return null
        if (codePoint !in FIRST_SYLLABLE..LAST_SYLLABLE) return decomposed[codePoint]
        // Hangul syllables, by the rule of Unicode 3.12.
        val index = codePoint - FIRST_SYLLABLE
        val lead = 0x1100 + index / 588
        val vowel = 0x1161 + index % 588 / 28
        val tail = index % 28
        return if (tail == 0) intArrayOf(lead, vowel) else intArrayOf(lead, vowel, 0x11A7 + tail)
    }

    /** The canonical combining class by which NFD orders marks; 0 never moves. */
    fun combiningClass(codePoint: Int): Int =
        if (properties(codePoint) and COMBINES == 0) 0 else classes[codePoint]?.get(0) ?: 0

    private const val SIZE = 0x110000
    private const val FIRST_SYLLABLE = 0xAC00
    private const val LAST_SYLLABLE = 0xD7A3

    private const val PROPERTIES_TEXT = """
0 9 2 0 2 1 0 2 2 0 1 1 0 i 2 0 1 1 0 f 4 a 7 4 q 6 4 q 4 4 0 x 2 0 1 1 0 1 4 5 1 4 3 1 4 1 1 2
8 2 4 3 1 4 3 1 4 g0 1s g 2 1 g 2 17 g e 1 4 8 1 4 6z 5 g 5u 6 4 15 2 4 6 19 g 0 1 4 0 1 g 0 1 4
0 2 g 0 1 4 0 2 g 0 1 4 0 1 g 17 2 4 b 6 2 3 2 4 1 2 4 2 b g 0 1 4 0 1 2 1 2 4 17 l g a 4 4 2 1
g 2r 1 4 1 7 g 0 1 2 1 6 g 2 2 g 1 4 g i e 4 1 1 2 1 1 g u r g 2j b g 1m 9 g 3 3 4 s 4 g 1 9 g 1
3 g 1 5 g 2 f 4 q 3 g 2 1 4 3o w g 1j 1 g 1 1 g 4 8 g 4 1 g 3 7 g a 2 g 0 2 4 a 1 4 g 1 g 1m 1 g
4 4 g 8 1 g k 2 g t 2 g 1l 1 g 4 2 g 4 2 g 2 3 g 3 1 g u 2 g 3 1 g b 2 g 1l 1 g 4 5 g 1 2 g 4 1
g k 2 g c 1 4 g 1 g 1m 1 g 2 1 g 1 4 g 8 1 g 8 1 g b 2 g u 1 g 1p 1 g c 1 g 1e 1 g 1p 3 g 5 2 g
2 4 g 7 2 g b 2 g t 1 g 1m 1 g 2 1 g 6 1 g 5 2 g k 2 g t 1 g 1r 4 g 8 1 g k 2 g 2u 1 g 7 3 g 1 1
g t 1 4 1o 1 g 2 7 g c 8 g 0 1 4 a 2 4 2d 1 g 2 6 g 1 2 g b 6 g 1i f 4 1 1 4 3 2 g r 1 g 1 1 g 1
1 g 0 4 4 1f 2 g 1 1 g 2 1 g 1 6 g 1 1 g 1 3 g 0 1 4 0 2 g 5 6 g 1 4 g 1 4 g 1 4 g 1 4 g 1 4 g 1
c g 1 3 g 9 1 g 9 5 4 4 2 4 2a 4 g 1 6 g 1 2 g 2 2 g b 6 4 8 2 g 4 3 g g 4 g d 1 g 2 2 g 6 1 g f
1 g 2l 1 4 gx 3 g 0 9 4 47 1 4 h8 2 4 h 1 1 q 2 4 26 3 4 10 3 g t 3 g 0 2 4 r 2 g u 2 g 1s 2 g 1
7 g 8 1 g 2 b g 0 3 4 1 3 4 2 1 g y b 4 0 3 g 0 1 2 4a 1 g 3a 3 g 4 2 g 9 1 g 6 3 g 8 2 4 5t 2 g
2 1 g 2 2 4 1i 1 g 1 7 g 1 1 g 1 1 g 2 8 g 6 a g 2 1 g w 7 4 1 6 4 2 e g 1u 4 g 1c 1 g 1 5 g 1 1
g 5 1 g n 7 4 a 9 g c 2 g w 4 g 2 2 g 1 3 g 1k 1 g 1 2 g 3 1 g 1 3 g a 4 4 18 8 g 2 2 g 3 5 4 1q
2 4 1s 8 4 8 3 g 0 1 4 0 d g 1 7 g 4 1 g 6 1 g 3 2 g 5i 1i g 6 4 g e8 b 1 0 5 2 0 o 4 0 2 1 0 5
2 0 1 1 0 k 4 1 d 4 1 c 4 0 1 1 0 5 2 1 a 2 d 2 4 e 2 4 1t d g 4 1 g 3 c g ev 4 4 t 2 4 u5 e 4
27 2 4 v a 4 b7 m 4 1r 4 4 w 2 4 kx 3 g 7 4 4 1 2 4 34 1 4 e 1 g 2o w g 0 1b 4 1 j 4 cd 1 1 0 3
4 4 a 4 2 c 4 a 4 g 2 1 4 c 1 4 2j 2 g 5 1 4 2i 1 4 lg 534 8 1s g74 8 zi 2 4 7h 3 4 2n 1 g 3 1 4
0 a g 0 1 4 v 2 g 28 2 g 0 6 4 7e 1 g 3 1 g 4 1 g p 2 g 25 4 4 24 1 g 9 2 4 g i g 6 3 4 1 1 4 15
8 g 0 2 4 n b g d 1 4 w 3 g 1c 1 g 2 4 g 2 1 g 4 d 4 g 2 4 5 1 g 1v 6 g 2 2 g 2 2 g c 1 g 8 1 g
f 4 4 s 1 g 1f 1 g 1 3 g 2 2 g 5 2 g 1 1 g s 2 4 c 2 g 2 2 4 4 1 g 6m 1 g 2 1 g 2 1 4 1 1 g aaa
4xs 2 0 e8 8 u 1 g f3 2 4 5c g g 0 a 4 6 g g 0 z 4 1 e 4 1 1 4 4 1 4 1 2 4 43 1 2 1 3 4 1 6 4 1
4 4 a 2 4 3 2 4 q 3 4 1 1 4 r 1 4 1 1 4 1 7 4 43 3 2 1 1 2 76 3 4 6y 1 g 6a 1 g 45 5 g 10 1 4 1c
1 4 bi 1 4 kn 1 4 5j 1 4 v 1 4 5d 3 g 1 2 g 5 4 g 14 3 g 4 1 g g 9 4 12 1 4 2t 2 g 9 7 4 1u 7 4
2h 4 4 v8 1 g 1i f g 0 7 4 1d 3 g 1d 4 g 2 2 g 0 2 4 0 1 2 0 4 4 1q 3 g 10 5 g 1 1 g 2 5 g b 4 4
1b 1 g 0 2 4 a 2 g 1g 9 g 6 5 4 0 3 g 0 1 4 d 1 4 1 3 4 27 3 g 2 1 g 1 2 g 0 6 4 2z 1 4 1h 1 g 3
8 g l 2 g 1m 1 g 3 1 g 11 7 g 3 5 g 8u 6 g 1 1 g 4 2 g 1 2 g 2 1 4 6j 4 g 6 2 g 1 2 g 0 n 4 4 2
g 2d 8 g 2 1 g 1 2 g 0 3 4 2v 1 g 1 1 g 2 6 g 1 1 g 2t 3 g 2 4 g 1 5 g g 3 4 2lt 5 4 dtl 2 4 3k
5 g 0 1 4 1m 7 g 0 5 4 8 1 4 ui 4 g f7u 2 g 0 1 4 0 4 2 43n 3 g 9 8 2 0 8 g 2 7 g u 4 g 44 3 g
1iz 1j g 4 1e g 8 1 g e 1 g 2 5 4 f 5 g 1 f g 2sg 7 g 4kp wyo 8 w 3ds 8 74 49c 8 85s f4 8 fhep 1
2 u 2o 2 3k 6o g 1e6o 1eke 2 2 1eke 2
"""

    private const val COMBINING_TEXT = """
lc l 6e 0 1 6g 0 4 64 0 1 6g 0 1 60 0 5 64 0 2 5m 0 4 64 0 2 5m 0 b 64 0 5 1 0 4 64 0 3 6e 2 1
6e 2 1 6o 0 1 6e 0 3 64 0 3 6e 0 2 64 1 3 6e 0 4 64 0 1 6e 0 1 6g 0 2 64 0 1 6e 0 1 6h 0 2 6i 0
1 6h 0 2 6i 0 1 6h 0 d 6e 7n 5 6e 7d 1 64 0 4 6e 0 1 64 0 3 6e 0 1 66 0 1 64 0 6 6e 0 6 64 0 2
6e 0 1 64 0 2 6e 0 1 66 0 1 6c 0 1 6e 0 1 a 0 1 b 0 1 c 0 1 d 0 1 e 0 1 f 0 1 g 0 1 h 0 1 i 0 2
j 0 1 k 0 1 l 0 1 m 1 1 n 1 1 o 0 1 p 1 1 6e 0 1 64 1 1 i 20 8 6e 0 1 u 0 1 v 0 1 w 1c 1 r 0 1 s
0 1 t 0 1 u 0 1 v 0 1 w 0 1 x 0 1 y 0 2 6e 0 2 64 0 5 6e 0 1 64 0 2 6e 0 1 64 g 1 z 2t 7 6e 2 4
6e 0 1 64 0 1 6e 2 2 6e 1 1 64 0 2 6e 0 1 64 z 1 10 u 1 6e 0 1 64 0 2 6e 0 1 64 0 2 6e 0 3 64 0
1 6e 0 2 64 0 1 6e 0 1 64 0 3 6e 0 1 64 0 1 6e 0 1 64 0 1 6e 0 1 64 0 1 6e 0 1 64 0 2 6e 4g 7 6e
0 1 64 0 1 6e y 4 6e 1 9 6e 1 3 6e 1 5 6e 17 3 64 3c e 6e 1 1 64 0 2 6e 0 1 64 0 2 6e 0 1 64 0 3
6e 0 3 64 0 1 r 0 1 s 0 1 t 0 3 6e 0 1 64 0 2 6e 0 2 64 0 5 6e 1o 1 7 g 1 9 3 1 6e 0 1 64 0 2 6e
2v 1 7 g 1 9 32 1 7 g 1 9 32 1 7 g 1 9 32 1 7 g 1 9 3j 1 9 3j 1 9 7 1 2c 0 1 2j 2t 1 7 g 1 9 3j
1 9 3g 1 9 31 2 2v 0 1 9 d 4 2z 30 2 3a e 4 3e 24 2 64 r 1 64 1 1 64 1 1 60 1j 1 3l 0 1 3m 1 1
3o 5 4 3m 2 1 3m 1 2 6e 0 1 9 1 2 6e 1q 1 64 34 1 7 1 2 9 2a 1 64 jz 3 6e qc 1 9 v 1 9 4d 1 9 a
1 6e 5n 1 6c 3z 1 66 0 1 6e 0 1 64 63 1 6e 0 1 64 1z 1 9 k 8 6e 2 1 64 1c 5 6e 0 6 64 0 2 6e 0 1
64 3a 1 7 f 1 9 12 1 6e 0 1 64 0 7 6e 1i 2 9 1m 1 7 b 2 9 1v 1 7 48 3 6e 1 1 1 0 5 64 0 2 6e 0 4
64 0 1 6e 1 7 1 4 1 64 6 1 6e 3 2 6e 5i 2 6e 0 1 64 0 7 6e 0 1 64 0 2 6e 0 1 6i 0 1 5y 0 1 64 0
1 5m 0 11 6e 5 1 6e 0 1 6h 0 1 64 0 1 6e 0 1 64 k0 2 6e 0 2 1 0 4 6e 0 3 1 0 2 6e 4 1 6e 3 2 1 0
1 6e 0 1 64 0 1 6e 0 2 1 0 4 64 0 1 6e 2da 3 6e 3x 1 9 2o w 6e fe 1 62 0 1 6c 0 1 6g 0 1 66 0 2
68 2x 2 8 n9w 1 6e 4 a 6e w 2 6e 28 2 6e 7o 1 9 59 1 9 r i 6e 1l 3 64 11 1 9 2n 1 7 c 1 9 6n 1
6e 1 2 6e 0 1 64 2 2 6e 5 2 6e 1 1 6e 1g 1 9 6u 1 9 fn4 1 q ld 7 6e 0 7 64 0 2 6e r1 1 64 6a 1
64 45 5 6e 1aq 1 64 1 1 6e 14 1 6e 0 1 1 0 1 64 4 1 9 4l 1 6e 0 1 64 127 1 9 1k 1 9 1l 1 9 0 1 7
1x 3 6e 1c 2 9 1q 1 7 24 1 9 9 1 7 2y 1 9 0 1 7 4y 1 7 0 1 9 29 1 7 g 1 9 o 7 6e 3 5 6e 5p 1 9 3
1 7 3f 1 9 0 1 7 6z 1 9 0 1 7 3i 1 9 3a 1 9 0 1 7 37 1 9 103 1 9 fjk 5 1 1n 7 6e g2v 1 1 43q 2
60 0 3 1 3 1 6a 0 5 60 8 8 64 2 5 6e 0 2 64 u 4 6e 44 3 6e 2pn 7 6e 1 h 6e 2 7 6e 1 2 6e 1 5 6e
1ph 7 64 31 6 6e 0 1 7
"""

    private const val LOWERCASE_TEXT = """
1t 1 2p 1 1 2q 1 1 2r 1 1 2s 1 1 2t 1 1 2u 1 1 2v 1 1 2w 1 1 2x 1 1 2y 1 1 2z 1 1 30 1 1 31 1 1
32 1 1 33 1 1 34 1 1 35 1 1 36 1 1 37 1 1 38 1 1 39 1 1 3a 1 1 3b 1 1 3c 1 1 3d 1 1 3e 2u 1 68 1
1 69 1 1 6a 1 1 6b 1 1 6c 1 1 6d 1 1 6e 1 1 6f 1 1 6g 1 1 6h 1 1 6i 1 1 6j 1 1 6k 1 1 6l 1 1 6m
1 1 6n 1 1 6o 1 1 6p 1 1 6q 1 1 6r 1 1 6s 1 1 6t 1 1 6u 2 1 6w 1 1 6x 1 1 6y 1 1 6z 1 1 70 1 1
71 1 1 72 y 1 75 2 1 77 2 1 79 2 1 7b 2 1 7d 2 1 7f 2 1 7h 2 1 7j 2 1 7l 2 1 7n 2 1 7p 2 1 7r 2
1 7t 2 1 7v 2 1 7x 2 1 7z 2 1 81 2 1 83 2 1 85 2 1 87 2 1 89 2 1 8b 2 1 8d 2 1 8f 2 2 2x lj 2 1
8j 2 1 8l 2 1 8n 3 1 8q 2 1 8s 2 1 8u 2 1 8w 2 1 8y 2 1 90 2 1 92 2 1 94 3 1 97 2 1 99 2 1 9b 2
1 9d 2 1 9f 2 1 9h 2 1 9j 2 1 9l 2 1 9n 2 1 9p 2 1 9r 2 1 9t 2 1 9v 2 1 9x 2 1 9z 2 1 a1 2 1 a3
2 1 a5 2 1 a7 2 1 a9 2 1 ab 2 1 ad 2 1 af 2 1 73 1 1 ai 2 1 ak 2 1 am 4 1 gj 1 1 ar 2 1 at 2 1
gk 1 1 aw 2 1 gm 1 1 gn 1 1 b0 3 1 d9 1 1 gp 1 1 gr 1 1 b6 2 1 gw 1 1 gz 2 1 h5 1 1 h4 1 1 bd 4
1 hb 1 1 he 2 1 hh 1 1 bl 2 1 bn 2 1 bp 2 1 hs 1 1 bs 2 1 hv 3 1 bx 2 1 i0 1 1 c0 2 1 i2 1 1 i3
1 1 c4 2 1 c6 2 1 ia 1 1 c9 4 1 cd 8 1 cm 1 1 cm 2 1 cp 1 1 cp 2 1 cs 1 1 cs 2 1 cu 2 1 cw 2 1
cy 2 1 d0 2 1 d2 2 1 d4 2 1 d6 2 1 d8 3 1 db 2 1 dd 2 1 df 2 1 dh 2 1 dj 2 1 dl 2 1 dn 2 1 dp 2
1 dr 3 1 dv 1 1 dv 2 1 dx 2 1 b9 1 1 cf 1 1 e1 2 1 e3 2 1 e5 2 1 e7 2 1 e9 2 1 eb 2 1 ed 2 1 ef
2 1 eh 2 1 ej 2 1 el 2 1 en 2 1 ep 2 1 er 2 1 et 2 1 ev 2 1 ex 2 1 ez 2 1 f1 2 1 f3 2 1 bi 2 1
f7 2 1 f9 2 1 fb 2 1 fd 2 1 ff 2 1 fh 2 1 fj 2 1 fl 2 1 fn 8 1 8rp 1 1 fw 2 1 be 1 1 8rq 3 1 g2
2 1 ao 1 1 i1 1 1 i4 1 1 g7 2 1 g9 2 1 gb 2 1 gd 2 1 gf 82 1 oh 2 1 oj 4 1 on 9 1 s3 7 1 q4 2 1
q5 1 1 q6 1 1 q7 2 1 r0 2 1 r1 1 1 r2 2 1 q9 1 1 qa 1 1 qb 1 1 qc 1 1 qd 1 1 qe 1 1 qf 1 1 qg 1
1 qh 1 1 qi 1 1 qj 1 1 qk 1 1 ql 1 1 qm 1 1 qn 1 1 qo 1 1 qp 2 1 qr 1 1 qs 1 1 qt 1 1 qu 1 1 qv
1 1 qw 1 1 qx 1 1 qy 1 1 qz 10 1 rb 9 1 rd 2 1 rf 2 1 rh 2 1 rj 2 1 rl 2 1 rn 2 1 rp 2 1 rr 2 1
rt 2 1 rv 2 1 rx 2 1 rz 6 1 qg 3 1 s8 2 1 s2 1 1 sb 3 1 or 1 1 os 1 1 ot 1 1 uo 1 1 up 1 1 uq 1
1 ur 1 1 us 1 1 ut 1 1 uu 1 1 uv 1 1 uw 1 1 ux 1 1 uy 1 1 uz 1 1 v0 1 1 v1 1 1 v2 1 1 v3 1 1 ts
1 1 tt 1 1 tu 1 1 tv 1 1 tw 1 1 tx 1 1 ty 1 1 tz 1 1 u0 1 1 u1 1 1 u2 1 1 u3 1 1 u4 1 1 u5 1 1
u6 1 1 u7 1 1 u8 1 1 u9 1 1 ua 1 1 ub 1 1 uc 1 1 ud 1 1 ue 1 1 uf 1 1 ug 1 1 uh 1 1 ui 1 1 uj 1
1 uk 1 1 ul 1 1 um 1 1 un 1d 1 v5 2 1 v7 2 1 v9 2 1 vb 2 1 vd 2 1 vf 2 1 vh 2 1 vj 2 1 vl 2 1 vn
2 1 vp 2 1 vr 2 1 vt 2 1 vv 2 1 vx 2 1 vz 2 1 w1 a 1 wb 2 1 wd 2 1 wf 2 1 wh 2 1 wj 2 1 wl 2 1
wn 2 1 wp 2 1 wr 2 1 wt 2 1 wv 2 1 wx 2 1 wz 2 1 x1 2 1 x3 2 1 x5 2 1 x7 2 1 x9 2 1 xb 2 1 xd 2
1 xf 2 1 xh 2 1 xj 2 1 xl 2 1 xn 2 1 xp 2 1 xr 2 1 y7 1 1 xu 2 1 xw 2 1 xy 2 1 y0 2 1 y2 2 1 y4
2 1 y6 3 1 y9 2 1 yb 2 1 yd 2 1 yf 2 1 yh 2 1 yj 2 1 yl 2 1 yn 2 1 yp 2 1 yr 2 1 yt 2 1 yv 2 1
yx 2 1 yz 2 1 z1 2 1 z3 2 1 z5 2 1 z7 2 1 z9 2 1 zb 2 1 zd 2 1 zf 2 1 zh 2 1 zj 2 1 zl 2 1 zn 2
1 zp 2 1 zr 2 1 zt 2 1 zv 2 1 zx 2 1 zz 2 1 101 2 1 103 2 1 105 2 1 107 2 1 109 2 1 10b 2 1 10d
2 1 10f 2 1 10h 2 1 10j 2 1 10l 2 1 10n 2 1 10p 2 1 10r 2 1 10t 2 1 10v 3 1 129 1 1 12a 1 1 12b
1 1 12c 1 1 12d 1 1 12e 1 1 12f 1 1 12g 1 1 12h 1 1 12i 1 1 12j 1 1 12k 1 1 12l 1 1 12m 1 1 12n
1 1 12o 1 1 12p 1 1 12q 1 1 12r 1 1 12s 1 1 12t 1 1 12u 1 1 12v 1 1 12w 1 1 12x 1 1 12y 1 1 12z
1 1 130 1 1 131 1 1 132 1 1 133 1 1 134 1 1 135 1 1 136 1 1 137 1 1 138 1 1 139 1 1 13a 28a 1
8w0 1 1 8w1 1 1 8w2 1 1 8w3 1 1 8w4 1 1 8w5 1 1 8w6 1 1 8w7 1 1 8w8 1 1 8w9 1 1 8wa 1 1 8wb 1 1
8wc 1 1 8wd 1 1 8we 1 1 8wf 1 1 8wg 1 1 8wh 1 1 8wi 1 1 8wj 1 1 8wk 1 1 8wl 1 1 8wm 1 1 8wn 1 1
8wo 1 1 8wp 1 1 8wq 1 1 8wr 1 1 8ws 1 1 8wt 1 1 8wu 1 1 8wv 1 1 8ww 1 1 8wx 1 1 8wy 1 1 8wz 1 1
8x0 1 1 8x1 2 1 8x3 6 1 8x9 k3 1 xv4 1 1 xv5 1 1 xv6 1 1 xv7 1 1 xv8 1 1 xv9 1 1 xva 1 1 xvb 1 1
xvc 1 1 xvd 1 1 xve 1 1 xvf 1 1 xvg 1 1 xvh 1 1 xvi 1 1 xvj 1 1 xvk 1 1 xvl 1 1 xvm 1 1 xvn 1 1
xvo 1 1 xvp 1 1 xvq 1 1 xvr 1 1 xvs 1 1 xvt 1 1 xvu 1 1 xvv 1 1 xvw 1 1 xvx 1 1 xvy 1 1 xvz 1 1
xw0 1 1 xw1 1 1 xw2 1 1 xw3 1 1 xw4 1 1 xw5 1 1 xw6 1 1 xw7 1 1 xw8 1 1 xw9 1 1 xwa 1 1 xwb 1 1
xwc 1 1 xwd 1 1 xwe 1 1 xwf 1 1 xwg 1 1 xwh 1 1 xwi 1 1 xwj 1 1 xwk 1 1 xwl 1 1 xwm 1 1 xwn 1 1
xwo 1 1 xwp 1 1 xwq 1 1 xwr 1 1 xws 1 1 xwt 1 1 xwu 1 1 xwv 1 1 xww 1 1 xwx 1 1 xwy 1 1 xwz 1 1
xx0 1 1 xx1 1 1 xx2 1 1 xx3 1 1 xx4 1 1 xx5 1 1 xx6 1 1 xx7 1 1 xx8 1 1 xx9 1 1 xxa 1 1 xxb 1 1
3y0 1 1 3y1 1 1 3y2 1 1 3y3 1 1 3y4 1 1 3y5 1p0 1 5my 7 1 3bk 1 1 3bl 1 1 3bm 1 1 3bn 1 1 3bo 1
1 3bp 1 1 3bq 1 1 3br 1 1 3bs 1 1 3bt 1 1 3bu 1 1 3bv 1 1 3bw 1 1 3bx 1 1 3by 1 1 3bz 1 1 3c0 1
1 3c1 1 1 3c2 1 1 3c3 1 1 3c4 1 1 3c5 1 1 3c6 1 1 3c7 1 1 3c8 1 1 3c9 1 1 3ca 1 1 3cb 1 1 3cc 1
1 3cd 1 1 3ce 1 1 3cf 1 1 3cg 1 1 3ch 1 1 3ci 1 1 3cj 1 1 3ck 1 1 3cl 1 1 3cm 1 1 3cn 1 1 3co 1
1 3cp 1 1 3cq 3 1 3ct 1 1 3cu 1 1 3cv 8x 1 5xd 2 1 5xf 2 1 5xh 2 1 5xj 2 1 5xl 2 1 5xn 2 1 5xp 2
1 5xr 2 1 5xt 2 1 5xv 2 1 5xx 2 1 5xz 2 1 5y1 2 1 5y3 2 1 5y5 2 1 5y7 2 1 5y9 2 1 5yb 2 1 5yd 2
1 5yf 2 1 5yh 2 1 5yj 2 1 5yl 2 1 5yn 2 1 5yp 2 1 5yr 2 1 5yt 2 1 5yv 2 1 5yx 2 1 5yz 2 1 5z1 2
1 5z3 2 1 5z5 2 1 5z7 2 1 5z9 2 1 5zb 2 1 5zd 2 1 5zf 2 1 5zh 2 1 5zj 2 1 5zl 2 1 5zn 2 1 5zp 2
1 5zr 2 1 5zt 2 1 5zv 2 1 5zx 2 1 5zz 2 1 601 2 1 603 2 1 605 2 1 607 2 1 609 2 1 60b 2 1 60d 2
1 60f 2 1 60h 2 1 60j 2 1 60l 2 1 60n 2 1 60p 2 1 60r 2 1 60t 2 1 60v 2 1 60x 2 1 60z 2 1 611 2
1 613 2 1 615 2 1 617 2 1 619 2 1 61b 2 1 61d 2 1 61f 2 1 61h a 1 67 2 1 61t 2 1 61v 2 1 61x 2 1
61z 2 1 621 2 1 623 2 1 625 2 1 627 2 1 629 2 1 62b 2 1 62d 2 1 62f 2 1 62h 2 1 62j 2 1 62l 2 1
62n 2 1 62p 2 1 62r 2 1 62t 2 1 62v 2 1 62x 2 1 62z 2 1 631 2 1 633 2 1 635 2 1 637 2 1 639 2 1
63b 2 1 63d 2 1 63f 2 1 63h 2 1 63j 2 1 63l 2 1 63n 2 1 63p 2 1 63r 2 1 63t 2 1 63v 2 1 63x 2 1
63z 2 1 641 2 1 643 2 1 645 2 1 647 2 1 649 2 1 64b 2 1 64d 2 1 64f a 1 64g 1 1 64h 1 1 64i 1 1
64j 1 1 64k 1 1 64l 1 1 64m 1 1 64n 9 1 64w 1 1 64x 1 1 64y 1 1 64z 1 1 650 1 1 651 b 1 65c 1 1
65d 1 1 65e 1 1 65f 1 1 65g 1 1 65h 1 1 65i 1 1 65j 9 1 65s 1 1 65t 1 1 65u 1 1 65v 1 1 65w 1 1
65x 1 1 65y 1 1 65z 9 1 668 1 1 669 1 1 66a 1 1 66b 1 1 66c 1 1 66d c 1 66p 2 1 66r 2 1 66t 2 1
66v 9 1 674 1 1 675 1 1 676 1 1 677 1 1 678 1 1 679 1 1 67a 1 1 67b p 1 680 1 1 681 1 1 682 1 1
683 1 1 684 1 1 685 1 1 686 1 1 687 9 1 68g 1 1 68h 1 1 68i 1 1 68j 1 1 68k 1 1 68l 1 1 68m 1 1
68n 9 1 68w 1 1 68x 1 1 68y 1 1 68z 1 1 690 1 1 691 1 1 692 1 1 693 9 1 69c 1 1 69d 1 1 67k 1 1
67l 1 1 69f c 1 67m 1 1 67n 1 1 67o 1 1 67p 1 1 69v c 1 6a8 1 1 6a9 1 1 67q 1 1 67r d 1 6ao 1 1
6ap 1 1 67u 1 1 67v 1 1 6at c 1 67s 1 1 67t 1 1 67w 1 1 67x 1 1 6b7 8a 1 qx 4 1 2z 1 1 6d 7 1
6ku 1a 1 6ls 1 1 6lt 1 1 6lu 1 1 6lv 1 1 6lw 1 1 6lx 1 1 6ly 1 1 6lz 1 1 6m0 1 1 6m1 1 1 6m2 1 1
6m3 1 1 6m4 1 1 6m5 1 1 6m6 1 1 6m7 k 1 6mc mr 1 79s 1 1 79t 1 1 79u 1 1 79v 1 1 79w 1 1 79x 1 1
79y 1 1 79z 1 1 7a0 1 1 7a1 1 1 7a2 1 1 7a3 1 1 7a4 1 1 7a5 1 1 7a6 1 1 7a7 1 1 7a8 1 1 7a9 1 1
7aa 1 1 7ab 1 1 7ac 1 1 7ad 1 1 7ae 1 1 7af 1 1 7ag 1 1 7ah 1f5 1 8q8 1 1 8q9 1 1 8qa 1 1 8qb 1
1 8qc 1 1 8qd 1 1 8qe 1 1 8qf 1 1 8qg 1 1 8qh 1 1 8qi 1 1 8qj 1 1 8qk 1 1 8ql 1 1 8qm 1 1 8qn 1
1 8qo 1 1 8qp 1 1 8qq 1 1 8qr 1 1 8qs 1 1 8qt 1 1 8qu 1 1 8qv 1 1 8qw 1 1 8qx 1 1 8qy 1 1 8qz 1
1 8r0 1 1 8r1 1 1 8r2 1 1 8r3 1 1 8r4 1 1 8r5 1 1 8r6 1 1 8r7 1 1 8r8 1 1 8r9 1 1 8ra 1 1 8rb 1
1 8rc 1 1 8rd 1 1 8re 1 1 8rf 1 1 8rg 1 1 8rh 1 1 8ri 1 1 8rj 1d 1 8rl 2 1 h7 1 1 5tp 1 1 hp 3 1
8rs 2 1 8ru 2 1 8rw 2 1 gh 1 1 hd 1 1 gg 1 1 gi 2 1 8s3 3 1 8s6 9 1 fz 1 1 g0 1 1 8sh 2 1 8sj 2
1 8sl 2 1 8sn 2 1 8sp 2 1 8sr 2 1 8st 2 1 8sv 2 1 8sx 2 1 8sz 2 1 8t1 2 1 8t3 2 1 8t5 2 1 8t7 2
1 8t9 2 1 8tb 2 1 8td 2 1 8tf 2 1 8th 2 1 8tj 2 1 8tl 2 1 8tn 2 1 8tp 2 1 8tr 2 1 8tt 2 1 8tv 2
1 8tx 2 1 8tz 2 1 8u1 2 1 8u3 2 1 8u5 2 1 8u7 2 1 8u9 2 1 8ub 2 1 8ud 2 1 8uf 2 1 8uh 2 1 8uj 2
1 8ul 2 1 8un 2 1 8up 2 1 8ur 2 1 8ut 2 1 8uv 2 1 8ux 2 1 8uz 2 1 8v1 2 1 8v3 2 1 8v5 2 1 8v7 9
1 8vg 2 1 8vi 5 1 8vn nym 1 wu9 2 1 wub 2 1 wud 2 1 wuf 2 1 wuh 2 1 wuj 2 1 wul 2 1 wun 2 1 wup
2 1 wur 2 1 wut 2 1 wuv 2 1 wux 2 1 wuz 2 1 wv1 2 1 wv3 2 1 wv5 2 1 wv7 2 1 wv9 2 1 wvb 2 1 wvd
2 1 wvf 2 1 wvh k 1 ww1 2 1 ww3 2 1 ww5 2 1 ww7 2 1 ww9 2 1 wwb 2 1 wwd 2 1 wwf 2 1 wwh 2 1 wwj
2 1 wwl 2 1 wwn 2 1 wwp 2 1 wwr 3s 1 x0j 2 1 x0l 2 1 x0n 2 1 x0p 2 1 x0r 2 1 x0t 2 1 x0v 4 1 x0z
2 1 x11 2 1 x13 2 1 x15 2 1 x17 2 1 x19 2 1 x1b 2 1 x1d 2 1 x1f 2 1 x1h 2 1 x1j 2 1 x1l 2 1 x1n
2 1 x1p 2 1 x1r 2 1 x1t 2 1 x1v 2 1 x1x 2 1 x1z 2 1 x21 2 1 x23 2 1 x25 2 1 x27 2 1 x29 2 1 x2b
2 1 x2d 2 1 x2f 2 1 x2h 2 1 x2j 2 1 x2l 2 1 x2n b 1 x2y 2 1 x30 2 1 5tl 1 1 x33 2 1 x35 2 1 x37
2 1 x39 2 1 x3b 5 1 x3g 2 1 h1 3 1 x3l 2 1 x3n 4 1 x3r 2 1 x3t 2 1 x3v 2 1 x3x 2 1 x3z 2 1 x41 2
1 x43 2 1 x45 2 1 x47 2 1 x49 2 1 h2 1 1 gs 1 1 gx 1 1 h8 1 1 h6 2 1 im 1 1 hz 1 1 il 1 1 xub 1
1 x4l 2 1 x4n 2 1 x4p 2 1 x4r 2 1 x4t 2 1 x4v 2 1 x4x 2 1 x4z 2 1 x3o 1 1 hu 1 1 5u6 1 1 x54 2 1
x56 2 1 h0 1 1 x59 2 1 x5b 2 1 x5d 2 1 x5f 2 1 x5h 2 1 x5j 2 1 x5l 2 1 x5n 2 1 bf p 1 x6e h7w 1
1ef5 1 1 1ef6 1 1 1ef7 1 1 1ef8 1 1 1ef9 1 1 1efa 1 1 1efb 1 1 1efc 1 1 1efd 1 1 1efe 1 1 1eff 1
1 1efg 1 1 1efh 1 1 1efi 1 1 1efj 1 1 1efk 1 1 1efl 1 1 1efm 1 1 1efn 1 1 1efo 1 1 1efp 1 1 1efq
1 1 1efr 1 1 1efs 1 1 1eft 1 1 1efu xy 1 1fe0 1 1 1fe1 1 1 1fe2 1 1 1fe3 1 1 1fe4 1 1 1fe5 1 1
1fe6 1 1 1fe7 1 1 1fe8 1 1 1fe9 1 1 1fea 1 1 1feb 1 1 1fec 1 1 1fed 1 1 1fee 1 1 1fef 1 1 1feg 1
1 1feh 1 1 1fei 1 1 1fej 1 1 1fek 1 1 1fel 1 1 1fem 1 1 1fen 1 1 1feo 1 1 1fep 1 1 1feq 1 1 1fer
1 1 1fes 1 1 1fet 1 1 1feu 1 1 1fev 1 1 1few 1 1 1fex 1 1 1fey 1 1 1fez 1 1 1ff0 1 1 1ff1 1 1
1ff2 1 1 1ff3 3t 1 1fiw 1 1 1fix 1 1 1fiy 1 1 1fiz 1 1 1fj0 1 1 1fj1 1 1 1fj2 1 1 1fj3 1 1 1fj4
1 1 1fj5 1 1 1fj6 1 1 1fj7 1 1 1fj8 1 1 1fj9 1 1 1fja 1 1 1fjb 1 1 1fjc 1 1 1fjd 1 1 1fje 1 1
1fjf 1 1 1fjg 1 1 1fjh 1 1 1fji 1 1 1fjj 1 1 1fjk 1 1 1fjl 1 1 1fjm 1 1 1fjn 1 1 1fjo 1 1 1fjp 1
1 1fjq 1 1 1fjr 1 1 1fjs 1 1 1fjt 1 1 1fju 1 1 1fjv 4d 1 1fo7 1 1 1fo8 1 1 1fo9 1 1 1foa 1 1
1fob 1 1 1foc 1 1 1fod 1 1 1foe 1 1 1fof 1 1 1fog 1 1 1foh 2 1 1foj 1 1 1fok 1 1 1fol 1 1 1fom 1
1 1fon 1 1 1foo 1 1 1fop 1 1 1foq 1 1 1for 1 1 1fos 1 1 1fot 1 1 1fou 1 1 1fov 1 1 1fow 1 1 1fox
2 1 1foz 1 1 1fp0 1 1 1fp1 1 1 1fp2 1 1 1fp3 1 1 1fp4 1 1 1fp5 2 1 1fp7 1 1 1fp8 1d7 1 1h34 1 1
1h35 1 1 1h36 1 1 1h37 1 1 1h38 1 1 1h39 1 1 1h3a 1 1 1h3b 1 1 1h3c 1 1 1h3d 1 1 1h3e 1 1 1h3f 1
1 1h3g 1 1 1h3h 1 1 1h3i 1 1 1h3j 1 1 1h3k 1 1 1h3l 1 1 1h3m 1 1 1h3n 1 1 1h3o 1 1 1h3p 1 1 1h3q
1 1 1h3r 1 1 1h3s 1 1 1h3t 1 1 1h3u 1 1 1h3v 1 1 1h3w 1 1 1h3x 1 1 1h3y 1 1 1h3z 1 1 1h40 1 1
1h41 1 1 1h42 1 1 1h43 1 1 1h44 1 1 1h45 1 1 1h46 1 1 1h47 1 1 1h48 1 1 1h49 1 1 1h4a 1 1 1h4b 1
1 1h4c 1 1 1h4d 1 1 1h4e 1 1 1h4f 1 1 1h4g 1 1 1h4h 1 1 1h4i 4e 1 1h80 1 1 1h81 1 1 1h82 1 1
1h83 1 1 1h84 1 1 1h85 1 1 1h86 1 1 1h87 1 1 1h88 1 1 1h89 1 1 1h8a 1 1 1h8b 1 1 1h8c 1 1 1h8d 1
1 1h8e 1 1 1h8f 1 1 1h8g 1 1 1h8h 1 1 1h8i 1 1 1h8j 1 1 1h8k 1 1 1h8l 27v 1 1jgg 1 1 1jgh 1 1
1jgi 1 1 1jgj 1 1 1jgk 1 1 1jgl 1 1 1jgm 1 1 1jgn 1 1 1jgo 1 1 1jgp 1 1 1jgq 1 1 1jgr 1 1 1jgs 1
1 1jgt 1 1 1jgu 1 1 1jgv 1 1 1jgw 1 1 1jgx 1 1 1jgy 1 1 1jgz 1 1 1jh0 1 1 1jh1 1 1 1jh2 1 1 1jh3
1 1 1jh4 1 1 1jh5 1 1 1jh6 1 1 1jh7 1 1 1jh8 1 1 1jh9 1 1 1jha 1 1 1jhb gw1 1 20dc 1 1 20dd 1 1
20de 1 1 20df 1 1 20dg 1 1 20dh 1 1 20di 1 1 20dj 1 1 20dk 1 1 20dl 1 1 20dm 1 1 20dn 1 1 20do 1
1 20dp 1 1 20dq 1 1 20dr 1 1 20ds 1 1 20dt 1 1 20du 1 1 20dv 1 1 20dw 1 1 20dx 1 1 20dy 1 1 20dz
1 1 20e0 1 1 20e1 1 1 20e2 1 1 20e3 1 1 20e4 1 1 20e5 1 1 20e6 1 1 20e7 1t 1 20fv 1 1 20fw 1 1
20fx 1 1 20fy 1 1 20fz 1 1 20g0 1 1 20g1 1 1 20g2 1 1 20g3 1 1 20g4 1 1 20g5 1 1 20g6 1 1 20g7 1
1 20g8 1 1 20g9 1 1 20ga 1 1 20gb 1 1 20gc 1 1 20gd 1 1 20ge 1 1 20gf 1 1 20gg 1 1 20gh 1 1 20gi
1 1 20gj o5k 1 2oma 1 1 2omb 1 1 2omc 1 1 2omd 1 1 2ome 1 1 2omf 1 1 2omg 1 1 2omh 1 1 2omi 1 1
2omj 1 1 2omk 1 1 2oml 1 1 2omm 1 1 2omn 1 1 2omo 1 1 2omp 1 1 2omq 1 1 2omr 1 1 2oms 1 1 2omt 1
1 2omu 1 1 2omv 1 1 2omw 1 1 2omx 1 1 2omy 1 1 2omz 1 1 2on0 1 1 2on1 1 1 2on2 1 1 2on3 1 1 2on4
1 1 2on5 1 1 2on6 1 1 2on7
"""

    private const val DECOMPOSITION_TEXT = """
5c 2 1t lc 1 2 1t ld 1 2 1t le 1 2 1t lf 1 2 1t lk 1 2 1t lm 2 2 1v mf 1 2 1x lc 1 2 1x ld 1 2
1x le 1 2 1x lk 1 2 21 lc 1 2 21 ld 1 2 21 le 1 2 21 lk 2 2 26 lf 1 2 27 lc 1 2 27 ld 1 2 27 le
1 2 27 lf 1 2 27 lk 3 2 2d lc 1 2 2d ld 1 2 2d le 1 2 2d lk 1 2 2h ld 3 2 2p lc 1 2 2p ld 1 2 2p
le 1 2 2p lf 1 2 2p lk 1 2 2p lm 2 2 2r mf 1 2 2t lc 1 2 2t ld 1 2 2t le 1 2 2t lk 1 2 2x lc 1 2
2x ld 1 2 2x le 1 2 2x lk 2 2 32 lf 1 2 33 lc 1 2 33 ld 1 2 33 le 1 2 33 lf 1 2 33 lk 3 2 39 lc
1 2 39 ld 1 2 39 le 1 2 39 lk 1 2 3d ld 2 2 3d lk 1 2 1t lg 1 2 2p lg 1 2 1t li 1 2 2p li 1 2 1t
mg 1 2 2p mg 1 2 1v ld 1 2 2r ld 1 2 1v le 1 2 2r le 1 2 1v lj 1 2 2r lj 1 2 1v lo 1 2 2r lo 1 2
1w lo 1 2 2s lo 3 2 1x lg 1 2 2t lg 1 2 1x li 1 2 2t li 1 2 1x lj 1 2 2t lj 1 2 1x mg 1 2 2t mg
1 2 1x lo 1 2 2t lo 1 2 1z le 1 2 2v le 1 2 1z li 1 2 2v li 1 2 1z lj 1 2 2v lj 1 2 1z mf 1 2 2v
mf 1 2 20 le 1 2 2w le 3 2 21 lf 1 2 2x lf 1 2 21 lg 1 2 2x lg 1 2 21 li 1 2 2x li 1 2 21 mg 1 2
2x mg 1 2 21 lj 4 2 22 le 1 2 2y le 1 2 23 mf 1 2 2z mf 2 2 24 ld 1 2 30 ld 1 2 24 mf 1 2 30 mf
1 2 24 lo 1 2 30 lo 5 2 26 ld 1 2 32 ld 1 2 26 mf 1 2 32 mf 1 2 26 lo 1 2 32 lo 4 2 27 lg 1 2 33
lg 1 2 27 li 1 2 33 li 1 2 27 ln 1 2 33 ln 3 2 2a ld 1 2 36 ld 1 2 2a mf 1 2 36 mf 1 2 2a lo 1 2
36 lo 1 2 2b ld 1 2 37 ld 1 2 2b le 1 2 37 le 1 2 2b mf 1 2 37 mf 1 2 2b lo 1 2 37 lo 1 2 2c mf
1 2 38 mf 1 2 2c lo 1 2 38 lo 3 2 2d lf 1 2 39 lf 1 2 2d lg 1 2 39 lg 1 2 2d li 1 2 39 li 1 2 2d
lm 1 2 39 lm 1 2 2d ln 1 2 39 ln 1 2 2d mg 1 2 39 mg 1 2 2f le 1 2 3b le 1 2 2h le 1 2 3d le 1 2
2h lk 1 2 2i ld 1 2 3e ld 1 2 2i lj 1 2 3e lj 1 2 2i lo 1 2 3e lo y 2 27 m3 1 2 33 m3 e 2 2d m3
1 2 39 m3 t 2 1t lo 1 2 2p lo 1 2 21 lo 1 2 2x lo 1 2 27 lo 1 2 33 lo 1 2 2d lo 1 2 39 lo 1 3 2d
lk lg 1 3 39 lk lg 1 3 2d lk ld 1 3 39 lk ld 1 3 2d lk lo 1 3 39 lk lo 1 3 2d lk lc 1 3 39 lk lc
2 3 1t lk lg 1 3 2p lk lg 1 3 1t lj lg 1 3 2p lj lg 1 2 5i lg 1 2 6e lg 3 2 1z lo 1 2 2v lo 1 2
23 lo 1 2 2z lo 1 2 27 mg 1 2 33 mg 1 3 27 mg lg 1 3 33 mg lg 1 2 c7 lo 1 2 ia lo 1 2 2y lo 4 2
1z ld 1 2 2v ld 3 2 26 lc 1 2 32 lc 1 3 1t lm ld 1 3 2p lm ld 1 2 5i ld 1 2 6e ld 1 2 60 ld 1 2
6w ld 1 2 1t lr 1 2 2p lr 1 2 1t lt 1 2 2p lt 1 2 1x lr 1 2 2t lr 1 2 1x lt 1 2 2t lt 1 2 21 lr
1 2 2x lr 1 2 21 lt 1 2 2x lt 1 2 27 lr 1 2 33 lr 1 2 27 lt 1 2 33 lt 1 2 2a lr 1 2 36 lr 1 2 2a
lt 1 2 36 lt 1 2 2d lr 1 2 39 lr 1 2 2d lt 1 2 39 lt 1 2 2b me 1 2 37 me 1 2 2c me 1 2 38 me 3 2
20 lo 1 2 2w lo 7 2 1t lj 1 2 2p lj 1 2 1x mf 1 2 2t mf 1 3 27 lk lg 1 3 33 lk lg 1 3 27 lf lg 1
3 33 lf lg 1 2 27 lj 1 2 33 lj 1 3 27 lj lg 1 3 33 lj lg 1 2 2h lg 1 2 3d lg 7h 1 lc 1 1 ld 2 1
lv 1 2 lk ld 1c 1 jd a 1 1n 7 2 4o ld 1 2 pd ld 1 1 53 1 2 ph ld 1 2 pj ld 1 2 pl ld 2 2 pr ld 2
2 px ld 1 2 q1 ld 1 3 qh lk ld q 2 pl lk 1 2 px lk 1 2 q9 ld 1 2 qd ld 1 2 qf ld 1 2 qh ld 1 3
qt lk ld q 2 qh lk 1 2 qt lk 1 2 qn ld 1 2 qt ld 1 2 qx ld 5 2 r6 ld 1 2 r6 lk 18 2 t1 lc 1 2 t1
lk 2 2 sz ld 4 2 sm lk 5 2 t6 ld 1 2 t4 lc 1 2 tf li b 2 t4 li w 2 u0 li n 2 tx lc 1 2 tx lk 2 2
tv ld 4 2 uu lk 5 2 u2 ld 1 2 u0 lc 1 2 ub li o 2 vo lr 1 2 vp lr 22 2 t2 li 1 2 ty li e 2 sw li
1 2 ts li 1 2 sw lk 1 2 ts lk 3 2 t1 li 1 2 tx li 3 2 yg lk 1 2 yh lk 1 2 t2 lk 1 2 ty lk 1 2 t3
lk 1 2 tz lk 3 2 t4 lg 1 2 u0 lg 1 2 t4 lk 1 2 u0 lk 1 2 ta lk 1 2 u6 lk 3 2 yw lk 1 2 yx lk 1 2
tp lk 1 2 ul lk 1 2 tf lg 1 2 ub lg 1 2 tf lk 1 2 ub lk 1 2 tf ln 1 2 ub ln 1 2 tj lk 1 2 uf lk
3 2 tn lk 1 2 uj lk 89 2 17r 18z 1 2 17r 190 1 2 18o 190 1 2 17r 191 1 2 18q 190 4a 2 1cl 190 2
2 1c1 190 h 2 1ci 190 gm 2 1t4 1to 8 2 1tc 1to 3 2 1tf 1to 10 2 1sl 1to 1 2 1sm 1to 1 2 1sn 1to
1 2 1ss 1to 1 2 1sx 1to 1 2 1sy 1to 1 2 1t7 1to 1 2 1tb 1to 30 2 1xj 1xa 1 2 1xj 1xz g 2 1wh 1x8
1 2 1wi 1x8 2 2 1wv 1x8 2c 2 20i 20s 3 2 20o 20s z 2 1zq 20s 1 2 1zr 20s 1 2 1zw 20s 3 2 20b 20s
6i 2 287 28m 3 2 287 27y 1 2 287 28n g 2 275 27w 1 2 276 27w 1j 2 2aa 2c7 1i 2 2bq 2bi 1 2 2br
2bi 1 2 2bq 2c7 3g 2 2fa 2fq 3c 2 2in 2j9 7 2 2iu 2j9 1 2 2iu 2ja 2 2 2iu 2iq 1 3 2iu 2iq 2j9 3j
2 2me 2m6 1 2 2mf 2m6 1 2 2me 2mv 3y 2 2qh 2q2 2 2 2qh 2q7 1 3 2qh 2q7 2q2 1 2 2qh 2qn 9x 2 30i
33r a 2 30s 33r 5 2 30x 33r 5 2 312 33r 5 2 317 33r d 2 30g 33p a 2 31t 31u 2 2 31t 31w 1 2 33m
328 2 2 33n 328 9 2 31t 328 i 2 32q 33r a 2 330 33r 5 2 335 33r 5 2 33a 33r 5 2 33f 33r d 2 32o
33p 31 2 36t 372 25c 2 5c5 5dh 2 2 5c7 5dh 2 2 5c9 5dh 2 2 5cb 5dh 2 2 5cd 5dh 4 2 5ch 5dh 15 2
5dm 5dh 2 2 5do 5dh 3 2 5dq 5dh 1 2 5dr 5dh 2 2 5du 5dh jh 2 1t md 1 2 2p md 1 2 1u lj 1 2 2q lj
1 2 1u mb 1 2 2q mb 1 2 1u mp 1 2 2q mp 1 3 1v mf ld 1 3 2r mf ld 1 2 1w lj 1 2 2s lj 1 2 1w mb
1 2 2s mb 1 2 1w mp 1 2 2s mp 1 2 1w mf 1 2 2s mf 1 2 1w ml 1 2 2s ml 1 3 1x lg lc 1 3 2t lg lc
1 3 1x lg ld 1 3 2t lg ld 1 2 1x ml 1 2 2t ml 1 2 1x mo 1 2 2t mo 1 3 1x mf li 1 3 2t mf li 1 2
1y lj 1 2 2u lj 1 2 1z lg 1 2 2v lg 1 2 20 lj 1 2 2w lj 1 2 20 mb 1 2 2w mb 1 2 20 lk 1 2 2w lk
1 2 20 mf 1 2 2w mf 1 2 20 mm 1 2 2w mm 1 2 21 mo 1 2 2x mo 1 3 21 lk ld 1 3 2x lk ld 1 2 23 ld
1 2 2z ld 1 2 23 mb 1 2 2z mb 1 2 23 mp 1 2 2z mp 1 2 24 mb 1 2 30 mb 1 3 24 mb lg 1 3 30 mb lg
1 2 24 mp 1 2 30 mp 1 2 24 ml 1 2 30 ml 1 2 25 ld 1 2 31 ld 1 2 25 lj 1 2 31 lj 1 2 25 mb 1 2 31
mb 1 2 26 lj 1 2 32 lj 1 2 26 mb 1 2 32 mb 1 2 26 mp 1 2 32 mp 1 2 26 ml 1 2 32 ml 1 3 27 lf ld
1 3 33 lf ld 1 3 27 lf lk 1 3 33 lf lk 1 3 27 lg lc 1 3 33 lg lc 1 3 27 lg ld 1 3 33 lg ld 1 2
28 ld 1 2 34 ld 1 2 28 lj 1 2 34 lj 1 2 2a lj 1 2 36 lj 1 2 2a mb 1 2 36 mb 1 3 2a mb lg 1 3 36
mb lg 1 2 2a mp 1 2 36 mp 1 2 2b lj 1 2 37 lj 1 2 2b mb 1 2 37 mb 1 3 2b ld lj 1 3 37 ld lj 1 3
2b lo lj 1 3 37 lo lj 1 3 2b mb lj 1 3 37 mb lj 1 2 2c lj 1 2 38 lj 1 2 2c mb 1 2 38 mb 1 2 2c
mp 1 2 38 mp 1 2 2c ml 1 2 38 ml 1 2 2d mc 1 2 39 mc 1 2 2d mo 1 2 39 mo 1 2 2d ml 1 2 39 ml 1 3
2d lf ld 1 3 39 lf ld 1 3 2d lg lk 1 3 39 lg lk 1 2 2e lf 1 2 3a lf 1 2 2e mb 1 2 3a mb 1 2 2f
lc 1 2 3b lc 1 2 2f ld 1 2 3b ld 1 2 2f lk 1 2 3b lk 1 2 2f lj 1 2 3b lj 1 2 2f mb 1 2 3b mb 1 2
2g lj 1 2 3c lj 1 2 2g lk 1 2 3c lk 1 2 2h lj 1 2 3d lj 1 2 2i le 1 2 3e le 1 2 2i mb 1 2 3e mb
1 2 2i mp 1 2 3e mp 1 2 2w mp 1 2 38 lk 1 2 3b lm 1 2 3d lm 2 2 an lj 5 2 1t mb 1 2 2p mb 1 2 1t
ll 1 2 2p ll 1 3 1t le ld 1 3 2p le ld 1 3 1t le lc 1 3 2p le lc 1 3 1t le ll 1 3 2p le ll 1 3
1t le lf 1 3 2p le lf 1 3 1t mb le 1 3 2p mb le 1 3 1t li ld 1 3 2p li ld 1 3 1t li lc 1 3 2p li
lc 1 3 1t li ll 1 3 2p li ll 1 3 1t li lf 1 3 2p li lf 1 3 1t mb li 1 3 2p mb li 1 2 1x mb 1 2
2t mb 1 2 1x ll 1 2 2t ll 1 2 1x lf 1 2 2t lf 1 3 1x le ld 1 3 2t le ld 1 3 1x le lc 1 3 2t le
lc 1 3 1x le ll 1 3 2t le ll 1 3 1x le lf 1 3 2t le lf 1 3 1x mb le 1 3 2t mb le 1 2 21 ll 1 2
2x ll 1 2 21 mb 1 2 2x mb 1 2 27 mb 1 2 33 mb 1 2 27 ll 1 2 33 ll 1 3 27 le ld 1 3 33 le ld 1 3
27 le lc 1 3 33 le lc 1 3 27 le ll 1 3 33 le ll 1 3 27 le lf 1 3 33 le lf 1 3 27 mb le 1 3 33 mb
le 1 3 27 m3 ld 1 3 33 m3 ld 1 3 27 m3 lc 1 3 33 m3 lc 1 3 27 m3 ll 1 3 33 m3 ll 1 3 27 m3 lf 1
3 33 m3 lf 1 3 27 m3 mb 1 3 33 m3 mb 1 2 2d mb 1 2 39 mb 1 2 2d ll 1 2 39 ll 1 3 2d m3 ld 1 3 39
m3 ld 1 3 2d m3 lc 1 3 39 m3 lc 1 3 2d m3 ll 1 3 39 m3 ll 1 3 2d m3 lf 1 3 39 m3 lf 1 3 2d m3 mb
1 3 39 m3 mb 1 2 2h lc 1 2 3d lc 1 2 2h mb 1 2 3d mb 1 2 2h ll 1 2 3d ll 1 2 2h lf 1 2 3d lf 7 2
q9 lv 1 2 q9 lw 1 3 q9 lv lc 1 3 q9 lw lc 1 3 q9 lv ld 1 3 q9 lw ld 1 3 q9 lv n6 1 3 q9 lw n6 1
2 pd lv 1 2 pd lw 1 3 pd lv lc 1 3 pd lw lc 1 3 pd lv ld 1 3 pd lw ld 1 3 pd lv n6 1 3 pd lw n6
1 2 qd lv 1 2 qd lw 1 3 qd lv lc 1 3 qd lw lc 1 3 qd lv ld 1 3 qd lw ld 3 2 ph lv 1 2 ph lw 1 3
ph lv lc 1 3 ph lw lc 1 3 ph lv ld 1 3 ph lw ld 3 2 qf lv 1 2 qf lw 1 3 qf lv lc 1 3 qf lw lc 1
3 qf lv ld 1 3 qf lw ld 1 3 qf lv n6 1 3 qf lw n6 1 2 pj lv 1 2 pj lw 1 3 pj lv lc 1 3 pj lw lc
1 3 pj lv ld 1 3 pj lw ld 1 3 pj lv n6 1 3 pj lw n6 1 2 qh lv 1 2 qh lw 1 3 qh lv lc 1 3 qh lw
lc 1 3 qh lv ld 1 3 qh lw ld 1 3 qh lv n6 1 3 qh lw n6 1 2 pl lv 1 2 pl lw 1 3 pl lv lc 1 3 pl
lw lc 1 3 pl lv ld 1 3 pl lw ld 1 3 pl lv n6 1 3 pl lw n6 1 2 qn lv 1 2 qn lw 1 3 qn lv lc 1 3
qn lw lc 1 3 qn lv ld 1 3 qn lw ld 3 2 pr lv 1 2 pr lw 1 3 pr lv lc 1 3 pr lw lc 1 3 pr lv ld 1
3 pr lw ld 3 2 qt lv 1 2 qt lw 1 3 qt lv lc 1 3 qt lw lc 1 3 qt lv ld 1 3 qt lw ld 1 3 qt lv n6
1 3 qt lw n6 2 2 px lw 2 3 px lw lc 2 3 px lw ld 2 3 px lw n6 1 2 qx lv 1 2 qx lw 1 3 qx lv lc 1
3 qx lw lc 1 3 qx lv ld 1 3 qx lw ld 1 3 qx lv n6 1 3 qx lw n6 1 2 q1 lv 1 2 q1 lw 1 3 q1 lv lc
1 3 q1 lw lc 1 3 q1 lv ld 1 3 q1 lw ld 1 3 q1 lv n6 1 3 q1 lw n6 1 2 q9 lc 1 2 q9 ld 1 2 qd lc 1
2 qd ld 1 2 qf lc 1 2 qf ld 1 2 qh lc 1 2 qh ld 1 2 qn lc 1 2 qn ld 1 2 qt lc 1 2 qt ld 1 2 qx
lc 1 2 qx ld 3 3 q9 lv n9 1 3 q9 lw n9 1 4 q9 lv lc n9 1 4 q9 lw lc n9 1 4 q9 lv ld n9 1 4 q9 lw
ld n9 1 4 q9 lv n6 n9 1 4 q9 lw n6 n9 1 3 pd lv n9 1 3 pd lw n9 1 4 pd lv lc n9 1 4 pd lw lc n9
1 4 pd lv ld n9 1 4 pd lw ld n9 1 4 pd lv n6 n9 1 4 pd lw n6 n9 1 3 qf lv n9 1 3 qf lw n9 1 4 qf
lv lc n9 1 4 qf lw lc n9 1 4 qf lv ld n9 1 4 qf lw ld n9 1 4 qf lv n6 n9 1 4 qf lw n6 n9 1 3 pj
lv n9 1 3 pj lw n9 1 4 pj lv lc n9 1 4 pj lw lc n9 1 4 pj lv ld n9 1 4 pj lw ld n9 1 4 pj lv n6
n9 1 4 pj lw n6 n9 1 3 qx lv n9 1 3 qx lw n9 1 4 qx lv lc n9 1 4 qx lw lc n9 1 4 qx lv ld n9 1 4
qx lw ld n9 1 4 qx lv n6 n9 1 4 qx lw n6 n9 1 3 q1 lv n9 1 3 q1 lw n9 1 4 q1 lv lc n9 1 4 q1 lw
lc n9 1 4 q1 lv ld n9 1 4 q1 lw ld n9 1 4 q1 lv n6 n9 1 4 q1 lw n6 n9 1 2 q9 li 1 2 q9 lg 1 3 q9
lc n9 1 2 q9 n9 1 3 q9 ld n9 2 2 q9 n6 1 3 q9 n6 n9 1 2 pd li 1 2 pd lg 1 2 pd lc 1 2 pd ld 1 2
pd n9 2 1 qh 3 2 4o n6 1 3 qf lc n9 1 2 qf n9 1 3 qf ld n9 2 2 qf n6 1 3 qf n6 n9 1 2 ph lc 1 2
ph ld 1 2 pj lc 1 2 pj ld 1 2 pj n9 1 2 69r lc 1 2 69r ld 1 2 69r n6 1 2 qh li 1 2 qh lg 1 3 qh
lk lc 1 3 qh lk ld 3 2 qh n6 1 3 qh lk n6 1 2 pl li 1 2 pl lg 1 2 pl lc 1 2 pl ld 2 2 6bi lc 1 2
6bi ld 1 2 6bi n6 1 2 qt li 1 2 qt lg 1 3 qt lk lc 1 3 qt lk ld 1 2 qp lv 1 2 qp lw 1 2 qt n6 1
3 qt lk n6 1 2 px li 1 2 px lg 1 2 px lc 1 2 px ld 1 2 pt lw 1 2 4o lc 1 2 4o ld 1 1 2o 3 3 qx
lc n9 1 2 qx n9 1 3 qx ld n9 2 2 qx n6 1 3 qx n6 n9 1 2 pr lc 1 2 pr ld 1 2 q1 lc 1 2 q1 ld 1 2
q1 n9 1 1 50 3 1 6bm 1 1 6bn 85 1 q1 4 1 23 1 2 1t lm 33 2 6mo mw 1 2 6mq mw j 2 6ms mw v 2 6og
mw 1 2 6ok mw 1 2 6oi mw 1h 2 6pv mw 5 2 6q0 mw 3 2 6q3 mw o 2 6qr mw 2 2 6qt mw r 2 6rg mw 3 2
6rn mw 3 2 6rp mw 2 2 6rs mw n 2 1p mw 2 2 6sh mw b 2 6rx mw 1 2 1o mw 1 2 1q mw 1 2 6sk mw 1 2
6sl mw 3 2 6sy mw 1 2 6sz mw 3 2 6t2 mw 1 2 6t3 mw 7 2 6t6 mw 1 2 6t7 mw 3 2 6te mw 1 2 6tf mw 3
2 6ti mw 1 2 6tj mw z 2 6ua mw 1 2 6ug mw 1 2 6uh mw 1 2 6uj mw 1d 2 6t8 mw 1 2 6t9 mw 1 2 6tt
mw 1 2 6tu mw 7 2 6uq mw 1 2 6ur mw 1 2 6us mw 1 2 6ut mw 1o 1 9hk 1 1 9hl 1iq 2 8gt mw 12o 2
9jf 9ll 2 2 9jh 9ll 2 2 9jj 9ll 2 2 9jl 9ll 2 2 9jn 9ll 2 2 9jp 9ll 2 2 9jr 9ll 2 2 9jt 9ll 2 2
9jv 9ll 2 2 9jx 9ll 2 2 9jz 9ll 2 2 9k1 9ll 3 2 9k4 9ll 2 2 9k6 9ll 2 2 9k8 9ll 7 2 9kf 9ll 1 2
9kf 9lm 2 2 9ki 9ll 1 2 9ki 9lm 2 2 9kl 9ll 1 2 9kl 9lm 2 2 9ko 9ll 1 2 9ko 9lm 2 2 9kr 9ll 1 2
9kr 9lm n 2 9ja 9ll a 2 9lp 9ll e 2 9m3 9ll 2 2 9m5 9ll 2 2 9m7 9ll 2 2 9m9 9ll 2 2 9mb 9ll 2 2
9md 9ll 2 2 9mf 9ll 2 2 9mh 9ll 2 2 9mj 9ll 2 2 9ml 9ll 2 2 9mn 9ll 2 2 9mp 9ll 3 2 9ms 9ll 2 2
9mu 9ll 2 2 9mw 9ll 7 2 9n3 9ll 1 2 9n3 9lm 2 2 9n6 9ll 1 2 9n6 9lm 2 2 9n9 9ll 1 2 9n9 9lm 2 2
9nc 9ll 1 2 9nc 9lm 2 2 9nf 9ll 1 2 9nf 9lm n 2 9ly 9ll 3 2 9nz 9ll 1 2 9o0 9ll 1 2 9o1 9ll 1 2
9o2 9ll 4 2 9od 9ll 13ia 1 rpk 1 1 kc4 1 1 s7e 1 1 rt4 1 1 lw1 1 1 fg2 1 1 gkl 1 1 vj0 1 1 vj0 1
1 hn5 1 1 ssx 1 1 gw7 1 1 hmw 1 1 jcm 1 1 ne1 1 1 p6t 1 1 qin 1 1 qt6 1 1 r20 1 1 sjz 1 1 kxu 1
1 ljv 1 1 mah 1 1 mvy 1 1 q4d 1 1 sq2 1 1 uep 1 1 fia 1 1 ghh 1 1 l50 1 1 mjf 1 1 qi5 1 1 v8e 1
1 ifk 1 1 m3v 1 1 qfh 1 1 r50 1 1 jih 1 1 pnc 1 1 qvz 1 1 iq2 1 1 kd3 1 1 lm2 1 1 mpo 1 1 slq 1
1 fpi 1 1 g53 1 1 gda 1 1 jwk 1 1 l3n 1 1 mj4 1 1 nhj 1 1 pa9 1 1 qh2 1 1 qjg 1 1 s1b 1 1 tv6 1
1 upb 1 1 v7e 1 1 nt8 1 1 nzz 1 1 otc 1 1 q15 1 1 t1g 1 1 vb3 1 1 rfa 1 1 hjz 1 1 iro 1 1 okg 1
1 pdq 1 1 mle 1 1 nuy 1 1 rsy 1 1 ttj 1 1 hjs 1 1 i8y 1 1 kyb 1 1 lp6 1 1 lxr 1 1 oq7 1 1 oxj 1
1 tor 1 1 gcy 1 1 pe3 1 1 g64 1 1 g5o 1 1 o4c 1 1 ou6 1 1 q29 1 1 tpx 1 1 rk0 1 1 jin 1 1 kxu 1
1 rge 1 1 fg9 1 1 i5j 1 1 iz6 1 1 mtj 1 1 n74 1 1 gev 1 1 nwb 1 1 fr3 1 1 iw9 1 1 ff1 1 1 lho 1
1 k1k 1 1 opu 1 1 gjn 1 1 hge 1 1 ni9 1 1 q4p 1 1 re2 1 1 la2 1 1 sds 1 1 lfs 1 1 jjy 1 1 put 1
1 jog 1 1 n6t 1 1 fji 1 1 g2x 1 1 g5l 1 1 kn5 1 1 oo7 1 1 prj 1 1 rf6 1 1 ssv 1 1 gdx 1 1 gn6 1
1 ho3 1 1 ir0 1 1 k3p 1 1 m4e 1 1 nxm 1 1 tkd 1 1 ui2 1 1 vbr 1 1 vda 1 1 gbf 1 1 kau 1 1 l87 1
1 sbm 1 1 ino 1 1 j9s 1 1 jcw 1 1 jve 1 1 lyb 1 1 mdl 1 1 n0p 1 1 o22 1 1 ovo 1 1 pdb 1 1 s9y 1
1 q9a 1 1 sgz 1 1 t3e 1 1 g7r 1 1 gbn 1 1 gql 1 1 ma0 1 1 r0i 1 1 re2 1 1 iq1 1 1 iyd 1 1 jnf 1
1 l9q 1 1 oji 1 1 mt1 1 1 fl0 1 1 h6h 1 1 i5j 1 1 iii 1 1 izg 1 1 muq 1 1 mzt 1 1 p7e 1 1 pc6 1
1 svo 1 1 tti 1 1 tvs 1 1 u1k 1 1 fpn 1 1 o1a 1 1 ss4 1 1 trs 1 1 j4x 1 1 fie 1 1 fyy 1 1 i5q 1
1 i7z 1 1 k2h 1 1 kxu 1 1 mha 1 1 ncy 1 1 q9o 1 1 sjg 1 1 vil 1 1 k94 1 1 tny 1 1 gax 1 1 kfv 1
1 kj7 1 1 lkx 1 1 luk 1 1 mx5 1 1 n6h 1 1 nsb 1 1 opc 1 1 u3i 1 1 g31 1 1 je6 1 1 tq0 1 1 fu3 1
1 ie1 1 1 lpm 1 1 sa2 1 1 ivf 1 1 j7o 1 1 kk7 1 1 mtj 1 1 tqe 1 1 g89 1 1 glr 1 1 i91 1 1 k5v 1
1 kem 1 1 ko8 1 1 lid 1 1 mx2 1 1 naa 1 1 p6h 1 1 r0v 1 1 r1d 1 1 sss 1 1 tsy 1 1 gfz 1 1 lve 1
1 gm5 1 1 mhc 1 1 n14 1 1 qgq 1 1 tr7 1 1 uvr 1 1 vbz 1 1 kgn 1 1 lor 1 1 pns 1 1 o97 1 1 obk 1
1 olu 1 1 mo0 1 1 m8p 1 1 riw 1 1 fk0 1 1 px2 1 1 g8q 1 1 g7b 1 1 ip2 1 1 jir 1 1 onq 1 1 i2t 1
1 ljy 1 1 kac 1 1 saj 1 1 qx8 1 1 tot 1 1 r63 1 1 iqb 1 1 g1s 1 1 gxs 3 1 hga 2 1 k8k 3 1 g66 1
1 mqy 1 1 ngq 1 1 ny4 1 1 nz2 1 1 nz9 1 1 o0f 1 1 tw6 1 1 on2 1 1 p8d 2 1 qhe 2 1 rg8 3 1 shk 1
1 sn1 4 1 u7j 1 1 u7w 1 1 u94 1 1 v5g 1 1 sm6 1 1 trr 1 1 fqm 1 1 fzb 1 1 g25 1 1 gcp 1 1 gdg 1
1 ggh 1 1 gwt 1 1 gzq 1 1 h2g 1 1 hfk 1 1 hig 1 1 i90 1 1 i9a 1 1 j2s 1 1 j8o 1 1 j9q 1 1 jci 1
1 k0f 1 1 k4i 1 1 k9d 1 1 kn9 1 1 lmf 1 1 lqy 1 1 lya 1 1 mem 1 1 mjv 1 1 mxu 1 1 ntd 1 1 ny6 1
1 nyh 1 1 nyg 1 1 nyo 1 1 nyu 1 1 nz1 1 1 o0d 1 1 o0e 1 1 o5c 1 1 o75 1 1 og0 1 1 ovo 1 1 ow9 1
1 oxt 1 1 p6a 1 1 pad 1 1 pnx 1 1 prt 1 1 prt 1 1 q53 1 1 r2o 1 1 r6e 1 1 rgh 1 1 ri1 1 1 rtf 1
1 ruw 1 1 sdy 1 1 shk 1 1 tsz 1 1 u0v 1 1 u2j 1 1 j1x 1 1 36cu 1 1 pp4 3 1 ffq 1 1 g51 1 1 g2w 1
1 fpc 1 1 g1x 1 1 g3k 1 1 gcn 1 1 ge2 1 1 gwt 1 1 gut 1 1 gwp 1 1 gyq 1 1 hga 1 1 hir 1 1 hms 1
1 hn8 1 1 huq 1 1 i08 1 1 iqa 1 1 iqh 1 1 iuh 1 1 iwd 1 1 j4o 1 1 j7y 1 1 j60 1 1 j9q 1 1 j8g 1
1 jci 1 1 jec 1 1 jpg 1 1 jrw 1 1 jte 1 1 k0m 1 1 k8k 1 1 kd3 1 1 kd7 1 1 keu 1 1 l89 1 1 la2 1
1 lkx 1 1 lwb 1 1 lvv 1 1 lya 1 1 m5a 1 1 mem 1 1 nmv 1 1 mk5 1 1 mnj 1 1 mqy 1 1 n01 1 1 n46 1
1 n5n 1 1 nbx 1 1 nbz 1 1 ngq 1 1 nh7 1 1 nhw 1 1 nka 1 1 nk0 1 1 nv0 1 1 o8h 1 1 og0 1 1 ol7 1
1 orf 1 1 ovo 1 1 p4u 1 1 pad 1 1 pxu 1 1 q27 1 1 qrd 1 1 r41 1 1 r5y 1 1 r6e 1 1 ren 1 1 rg8 1
1 rez 1 1 rgh 1 1 rge 1 1 rfx 1 1 ri1 1 1 rka 1 1 ruw 1 1 sag 1 1 sj6 1 1 srd 1 1 sxi 1 1 tq4 1
1 tsz 1 1 tw6 1 1 tzv 1 1 u0v 1 1 u17 1 1 u2j 1 1 umq 1 1 vj0 1 1 313e 1 1 3138 1 1 33dh 1 1 brx
1 1 cns 1 1 cop 1 1 39e1 1 1 3bgw 1 1 3i6r 1 1 vgj 1 1 vim 1w 2 15l 14k 2 2 16a 14n b 2 161 14x
1 2 161 14y 1 3 161 14s 14x 1 3 161 14s 14y 1 2 15c 14n 1 2 15c 14o 1 2 15c 14s 1 2 15d 14s 1 2
15e 14s 1 2 15f 14s 1 2 15g 14s 1 2 15h 14s 1 2 15i 14s 2 2 15k 14s 1 2 15l 14s 1 2 15m 14s 1 2
15n 14s 1 2 15o 14s 2 2 15q 14s 2 2 15s 14s 1 2 15t 14s 2 2 15v 14s 1 2 15w 14s 2 2 15y 14s 1 2
15z 14s 1 2 160 14s 1 2 161 14s 1 2 162 14s 1 2 15h 14p 1 2 15d 14v 1 2 15n 14v 1 2 15w 14v 47g
2 1huh 1hve 2 2 1huj 1hve f 2 1hut 1hve 3n 2 1hyp 1hyf 1 2 1hyq 1hyf f0 2 1idj 1ida 1 2 1idj
1idz a7 2 1int 1inu 1 2 1int 1ink 2 2 1int 1inx 70 2 1iuw 1iun 1 2 1iux 1iun 112b 2 2jx3 2jxh 1
2 2jx4 2jxh 1 3 2jx4 2jxh 2jxq 1 3 2jx4 2jxh 2jxr 1 3 2jx4 2jxh 2jxs 1 3 2jx4 2jxh 2jxt 1 3 2jx4
2jxh 2jxu 2f 2 2jzt 2jxh 1 2 2jzu 2jxh 1 3 2jzt 2jxh 2jxq 1 3 2jzu 2jxh 2jxq 1 3 2jzt 2jxh 2jxr
1 3 2jzu 2jxh 2jxr 1m4g 1 fgd 1 1 fg8 1 1 fgh 1 1 2tcy 1 1 fog 1 1 fqm 1 1 fqz 1 1 fsy 1 1 fwa 1
1 fx5 1 1 fzb 1 1 fyn 1 1 ae6 1 1 2ud6 1 1 g25 1 1 g2c 1 1 g2s 1 1 g3b 1 1 2u58 1 1 aex 1 1 g2v
1 1 g3x 1 1 2u6j 1 1 g47 1 1 g4k 1 1 fkc 1 1 g4s 1 1 g51 1 1 3ly7 1 1 g6t 1 1 g77 1 1 afz 1 1
g8r 1 1 g92 1 1 gaa 1 1 gaf 1 1 ahh 1 1 gcn 1 1 gcp 1 1 gdg 1 1 ge2 1 1 ged 1 1 gee 1 1 gev 1 1
gg9 1 1 ggh 1 1 ggq 1 1 ghf 1 1 ghp 1 1 ghr 1 1 ghr 1 1 ghr 1 1 2v58 1 1 m7k 1 1 gju 1 1 gkf 1 1
2vdv 1 1 gkr 1 1 gkx 1 1 gli 1 1 gpq 1 1 gmw 1 1 gnc 1 1 go8 1 1 gpu 1 1 gs6 1 1 gsw 1 1 gur 1 1
gv7 1 1 gw4 1 1 gw4 1 1 gwp 1 1 gx7 1 1 gxf 1 1 gxu 1 1 h7a 1 1 gzq 1 1 h7b 1 1 h1t 1 1 h2s 1 1
g7b 1 1 hke 1 1 hce 1 1 hdg 1 1 he5 1 1 haj 1 1 hf6 1 1 hf5 1 1 hik 1 1 2x9g 1 1 hki 1 1 hkn 1 1
hl2 1 1 hlm 1 1 hlu 1 1 hnm 1 1 2xm0 1 1 2xnu 1 1 hrg 1 1 hsr 1 1 ht3 1 1 hqw 1 1 huu 1 1 aum 1
1 av0 1 1 hzc 1 1 i0u 1 1 i0u 1 1 2y88 1 1 i4j 1 1 i54 1 1 i5j 1 1 i5v 1 1 2yhk 1 1 i67 1 1 i6e
1 1 itv 1 1 i76 1 1 ayp 1 1 i8w 1 1 i9a 1 1 ibk 1 1 ia5 1 1 2z1g 1 1 if7 1 1 2z1i 1 1 ige 1 1
igb 1 1 igs 1 1 ijl 1 1 ijm 1 1 b3j 1 1 ikd 1 1 ilk 1 1 im5 1 1 ind 1 1 b4y 1 1 2zr7 1 1 b5o 1 1
ipc 1 1 ipf 1 1 ipi 1 1 iq2 1 1 3pg2 1 1 iri 1 1 3035 1 1 3035 1 1 poh 1 1 isi 1 1 isi 1 1 b7r 1
1 335k 1 1 3cgq 1 1 iua 1 1 iuj 1 1 b8j 1 1 ivu 1 1 ix9 1 1 ixj 1 1 iyh 1 1 j29 1 1 bay 1 1 ba4
1 1 j2s 1 1 30t0 1 1 j47 1 1 j7s 1 1 j7w 1 1 j7y 1 1 j7w 1 1 j96 1 1 j9q 1 1 jaq 1 1 jac 1 1 jan
1 1 jby 1 1 jci 1 1 jcm 1 1 jdc 1 1 jdn 1 1 jfh 1 1 jht 1 1 jis 1 1 jm8 1 1 31n0 1 1 jlp 1 1 jjw
1 1 jmw 1 1 jnn 1 1 jqc 1 1 31td 1 1 js2 1 1 jph 1 1 jop 1 1 bhq 1 1 ju1 1 1 jum 1 1 jvh 1 1 juf
1 1 bjg 1 1 k0f 1 1 k18 1 1 32mi 1 1 k4j 1 1 kc8 1 1 k7d 1 1 bo9 1 1 k9d 1 1 bns 1 1 bms 1 1 g42
1 1 g45 1 1 kcg 1 1 k9o 1 1 pf1 1 1 deh 1 1 kd3 1 1 kd7 1 1 kdd 1 1 kf2 1 1 ker 1 1 33cz 1 1 bpl
1 1 kje 1 1 kg5 1 1 klu 1 1 kn9 1 1 33hp 1 1 kni 1 1 kkf 1 1 kr8 1 1 brx 1 1 ksi 1 1 kv7 1 1 kx6
1 1 l2g 1 1 33xf 1 1 l3v 1 1 bvc 1 1 l5t 1 1 34br 1 1 l78 1 1 bwu 1 1 l82 1 1 l9b 1 1 la2 1 1
la3 1 1 34p9 1 1 2yvf 1 1 34sa 1 1 le6 1 1 354s 1 1 lhb 1 1 lhp 1 1 lev 1 1 ljq 1 1 lku 1 1 lmf
1 1 lkx 1 1 lm1 1 1 lmg 1 1 lmt 1 1 357i 1 1 lkk 1 1 lrj 1 1 lta 1 1 c37 1 1 lvv 1 1 lvr 1 1
35jl 1 1 lq1 1 1 m0e 1 1 35ni 1 1 35ou 1 1 m2u 1 1 m61 1 1 m5a 1 1 m57 1 1 c5y 1 1 m6i 1 1 m7x 1
1 m7r 1 1 m99 1 1 2u5h 1 1 mdh 1 1 368z 1 1 mfw 1 1 36i3 1 1 mjs 1 1 mk5 1 1 mkw 1 1 36yw 1 1
mm8 1 1 mmt 1 1 3779 1 1 37dg 1 1 mt6 1 1 mtn 1 1 cdo 1 1 mud 1 1 ce0 1 1 ce0 1 1 myv 1 1 mzg 1
1 n01 1 1 n0l 1 1 n2i 1 1 cgr 1 1 n50 1 1 386u 1 1 n5q 1 1 389e 1 1 n74 1 1 2zrz 1 1 nbk 1 1
38v5 1 1 38vs 1 1 38zo 1 1 cn0 1 1 cnc 1 1 nhw 1 1 394j 1 1 394i 1 1 395l 1 1 396b 1 1 nj2 1 1
nj3 1 1 nj3 1 1 nka 1 1 cop 1 1 nm3 1 1 cp2 1 1 cra 1 1 39r1 1 1 nri 1 1 nt8 1 1 nv0 1 1 ctf 1 1
3a5i 1 1 nyu 1 1 3a8q 1 1 3a9x 1 1 o0f 1 1 o2z 1 1 cvj 1 1 o5c 1 1 o5m 1 1 o5r 1 1 3at8 1 1 3b1j
1 1 3b1j 1 1 oa6 1 1 d1e 1 1 3b8r 1 1 og6 1 1 og9 1 1 d2f 1 1 3beo 1 1 onm 1 1 d5s 1 1 oo8 1 1
oo3 1 1 oow 1 1 3c06 1 1 orn 1 1 d8h 1 1 ouf 1 1 ow2 1 1 oxx 1 1 d9w 1 1 3ciw 1 1 3cjr 1 1 dax 1
1 3cnt 1 1 p6i 1 1 3cqm 1 1 p79 1 1 pa2 1 1 pad 1 1 3d22 1 1 3d43 1 1 pcw 1 1 3d7s 1 1 pdc 1 1
33a7 1 1 ded 1 1 pf6 1 1 phf 1 1 dfv 1 1 pj2 1 1 hx1 1 1 3dlz 1 1 3dmd 1 1 33bn 1 1 33bw 1 1 poh
1 1 pok 1 1 sda 1 1 dij 1 1 psh 1 1 psb 1 1 pst 1 1 gc3 1 1 ptd 1 1 ptf 1 1 ptp 1 1 puu 1 1 3ebg
1 1 put 1 1 pwd 1 1 pyb 1 1 q0d 1 1 pwj 1 1 q0t 1 1 q1z 1 1 q53 1 1 pxv 1 1 q16 1 1 q18 1 1 q1o
1 1 3eie 1 1 3eqz 1 1 3emt 1 1 dnv 1 1 q9d 1 1 q9f 1 1 qae 1 1 3g0a 1 1 qck 1 1 3f3g 1 1 dp9 1 1
dpd 1 1 3f75 1 1 3ff6 1 1 dpn 1 1 qj4 1 1 qjg 1 1 qjr 1 1 qjt 1 1 qll 1 1 qko 1 1 qoe 1 1 qn6 1
1 qrd 1 1 qp4 1 1 qqz 1 1 qrq 1 1 dsn 1 1 qu9 1 1 qv5 1 1 dtl 1 1 qxs 1 1 qxv 1 1 3giv 1 1 r13 1
1 r1a 1 1 dv9 1 1 r22 1 1 aez 1 1 3gz2 1 1 3h46 1 1 dz2 1 1 dzb 1 1 rds 1 1 rfx 1 1 rka 1 1 rpx
1 1 3hrc 1 1 rsb 1 1 rsx 1 1 rvf 1 1 rxz 1 1 3i9b 1 1 2upw 1 1 s0b 1 1 rzw 1 1 s1c 1 1 2uvy 1 1
s7o 1 1 sag 1 1 3jki 1 1 3jl9 1 1 sk4 1 1 smp 1 1 snl 1 1 3ju6 1 1 snv 1 1 svs 1 1 t07 1 1 t08 1
1 sxo 1 1 t89 1 1 t91 1 1 3ksa 1 1 tjf 1 1 ej9 1 1 tkn 1 1 3l2v 1 1 eli 1 1 ts3 1 1 iia 1 1 tur
1 1 3ltx 1 1 3lzu 1 1 epa 1 1 epi 1 1 u00 1 1 3mdm 1 1 er6 1 1 3mhi 1 1 u17 1 1 u17 1 1 u21 1 1
3mpi 1 1 u76 1 1 eur 1 1 u95 1 1 ucn 1 1 ude 1 1 uf2 1 1 ez2 1 1 3nsg 1 1 umq 1 1 uv4 1 1 v0d 1
1 f66 1 1 f71 1 1 v3b 1 1 3owe 1 1 f7c 1 1 3oxx 1 1 3p5a 1 1 3p8x 1 1 vcr 1 1 f9y 1 1 veh 1 1
vem 1 1 vet 1 1 vf3 1 1 vfa 1 1 vgb 1 1 3pxc
"""

    // After the texts: an object's properties are set in the order in which they stand.
    private val lower = entries(numbers(LOWERCASE_TEXT))
    private val decomposed = entries(numbers(DECOMPOSITION_TEXT))
    private val classes = HashMap<Int, IntArray>()
    private val all = ByteArray(SIZE)

    init {
        runs(numbers(PROPERTIES_TEXT)) { point, bits -> all[point] = bits.toByte() }
        runs(numbers(COMBINING_TEXT)) { point, number -> classes[point] = intArrayOf(number) }
        mark(lower.keys, LOWERCASES)
        mark(decomposed.keys, DECOMPOSES)
        mark(FIRST_SYLLABLE..LAST_SYLLABLE, DECOMPOSES)
        mark(classes.keys, COMBINES)
    }

    private fun mark(points: Iterable<Int>, bit: Int) {
        for (point in points) all[point] = (all[point].toInt() or bit).toByte()
    }

    private fun runs(numbers: IntArray, action: (point: Int, value: Int) -> Unit) {
        var end = 0
        for (run in numbers.indices step 3) {
            val first = end + numbers[run]
            end = first + numbers[run + 1]
            for (point in first until end) action(point, numbers[run + 2])
        }
    }

    private fun entries(numbers: IntArray): HashMap<Int, IntArray> {
        val map = HashMap<Int, IntArray>()
        var at = 0
        var key = 0
        while (at < numbers.size) {
            val next = at + 2 + numbers[at + 1]
            key += numbers[at]
            map[key] = numbers.copyOfRange(at + 2, next)
            at = next
        }
        return map
    }

    private fun numbers(text: String): IntArray {
        val result = IntArray(text.length / 2 + 1)
        var size = 0
        var number = 0
        var pending = false
        for (char in text) {
            val digit = Character.digit(char, 36)
            if (digit >= 0) {
                number = number * 36 + digit
                pending = true
            } else if (pending) {
                result[size++] = number
                number = 0
                pending = false
            }
        }
        return result.copyOf(size)
    }
}
