"""The built-in text engine is compared with expectations written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune_indextts2.text.basic import BasicEngine

# --- the built-in engine, against expectations written by hand

ENGLISH = """
0, 7, 13, 40, 99 | zero, seven, thirteen, forty, ninety nine
100, 110, 1005 | one hundred, one hundred and ten, one thousand and five
1,250 and 16,000 | one thousand two hundred and fifty and sixteen thousand
2000000, 1,000,001 | two million, one million and one
007 and 0049 | zero zero seven and zero zero four nine
12345678901 | one two three four five six seven eight nine zero one
3.14, 0.5, .25, 1,000.05 | three point one four, zero point five, point two five, one thousand point zero five
-12 or −5.5 degrees | minus twelve or minus five point five degrees
1st 2nd 3rd 12th 21st 40th 1,000th | first second third twelfth twenty first fortieth one thousandth
born in 1921, not 1905 | born in nineteen twenty one, not nineteen oh five
in 1066, in 2000, in 2009, in 2024 | in ten sixty six, in two thousand, in two thousand and nine, in twenty twenty four
from 1914-1918 | from nineteen fourteen to nineteen eighteen
1945 was hard, 1900 too | nineteen forty five was hard, nineteen hundred too
In 1921 Charles, in 2019 sales fell | In nineteen twenty one Charles, in twenty nineteen sales fell
in 1250 cases, of 1921 cars | in one thousand two hundred and fifty cases, of one thousand nine hundred and \
twenty one cars
2024 people, 1500 lines | two thousand and twenty four people, one thousand five hundred lines
the 1990s, the '60s, 2000s | the nineteen nineties, the sixties, two thousands
March 3, 1921, in town | March third, nineteen twenty one, in town
on 3 March 1921 | on the third of March nineteen twenty one
the 22nd of May, Sept. 5 | the twenty second of May, September fifth
on 2024-11-05 | on the fifth of November twenty twenty four
4/7/2019, 13/7/2019, 5.11.2024 | the seventh of April twenty nineteen, the thirteenth of July twenty nineteen, \
the fifth of November twenty twenty four
In May. 5 came | In May. five came
at 9:30 AM, 14:05, 9:00 | at nine thirty A M, fourteen oh five, nine o'clock
6 PM, 7 p.m., 8am. | six P M, seven P M, eight A M.
9am-5pm, 9:00-10:30 | nine A M to five P M, nine o'clock to ten thirty
won 7:3, 16:9 | won seven to three, sixteen to nine
$1, $5.20, $0.50, $0.01 | one dollar, five dollars and twenty cents, fifty cents, one cent
£1,300, €75, £0.99, ¥500 | one thousand three hundred pounds, seventy five euros, ninety nine pence, five hundred yen
$3.5 million, $5k, US$7, 20€ | three point five million dollars, five thousand dollars, seven U S dollars, twenty euros
$5-10, $5-$10, -$3 | five dollars to ten dollars, five dollars to ten dollars, minus three dollars
2.5%, 5-10%, 100 % | two point five percent, five to ten percent, one hundred percent
1/2, 3/4, 2/3, 1 1/2, 3½, 22/7 | one half, three quarters, two thirds, one and a half, three and a half, \
twenty two over seven
24/7 | twenty four seven
12 kg, 1 kg, 30cm, 88 km/h | twelve kilograms, one kilogram, thirty centimetres, eighty eight kilometres per hour
-5 °C, 30°, 5 m², 2 GB | minus five degrees Celsius, thirty degrees, five square metres, two gigabytes
10-20 km, 100–200 | ten to twenty kilometres, one hundred to two hundred
call 555-0134 | call five five five, zero one three four
1-800-555-0199 | one, eight zero zero, five five five, zero one nine nine
(555) 123-4567 | five five five, one two three, four five six seven
+44 20 7946 0958 | plus four four, two zero, seven nine four six, zero nine five eight
version 2.0.1 | version two point zero point one
F5, MP3, 3D, beta2 | F five, MP three, three D, beta two
COVID<H>19, B<H>52 | COVID<H>nineteen, B<H>fifty two
2+2=4, 3 × 4, 3000+ | two plus two equals four, three times four, three thousand plus
#5, No. 5, no. He | number five, Number five, no. He
Mr. and Mrs. Brown, Dr. Who, Prof. Ng | Mister and Missus Brown, Doctor Who, Professor Ng
St. John's, Main St. The end | Saint John's, Main Street. The end
12 Main St., St John's | twelve Main Street, Saint John's
e.g. this, i.e. that, etc. | for example this, that is that, et cetera.
pens, etc. and etc. He vs. me | pens, et cetera and et cetera. He versus me
J.R.R. Tolkien of the U.K. | J R R Tolkien of the U K.
Q&A, salt & pepper | Q and A, salt and pepper
pp. 5-6, vol. 3, ch. 4 | pages five to six, volume three, chapter four
Henry VIII and Louis XIV | Henry VIII and Louis XIV
a  b	c | a b c
５ and ٣ | five and three
1,23 10,5 | one,twenty three ten,five
Max. May. Sun. Am. | Max. May. Sun. Am.
"""
CHINESE = """
0 10 15 20 99 | 零 十 十五 二十 九十九
100，105，110，115 | 一百，一百零五，一百一十，一百一十五
1001，1010，2000，10010 | 一千零一，一千零一十，两千，一万零一十
22000，120000，10000000 | 两万二千，十二万，一千万
100000005，1,234,567 | 一亿零五，一百二十三万四千五百六十七
1000000000000 | 一万亿
007 | 零零七
3.14，0.5，59.9元 | 三点一四，零点五，五十九点九元
-12度，−3 | 负十二度，负三
2.5%，5%-10%，-5%，3‰ | 百分之二点五，百分之五到百分之十，负百分之五，千分之三
1998年，2024年11月5日 | 一九九八年，二零二四年十一月五日
1914-1918年，20年，第2年 | 一九一四到一九一八年，二十年，第二年
2024-11-05，2025/09/08 | 二零二四年十一月五日，二零二五年九月八日
9:30，14:05，9:00，2:30 | 九点三十分，十四点零五分，九点，两点三十分
9:00-10:30，9:30:15，3:2 | 九点到十点三十分，九点三十分十五秒，三比二
￥999，$3.5，€5，￥3.5万 | 九百九十九元，三点五美元，五欧元，三点五万元
2个人，2年级，12个，第2个 | 两个人，二年级，十二个，第二个
第200名，200元 | 第二百名，两百元
88km/h，5 kg，30cm，25℃ | 每小时八十八公里，五公斤，三十厘米，二十五摄氏度
3-5天，3~5天 | 三到五天，三到五天
1/2，2.0.1版 | 二分之一，二点零点一版
135-4567-8900，13812345678 | 幺三五四五六七八九零零，幺三八幺二三四五六七八
010-12345678 | 零幺零幺二三四五六七八
3+4=7，3×4 | 三加四等于七，三乘四
１２３，A4纸，MP3 | 一百二十三，A四纸，MP三
<n_a>2<H>3<pinyin_a> | <n_a>二<H>三<pinyin_a>
10000000000000000 | 一零零零零零零零零零零零零零零零零
"""


def rows(table: str) -> list[list[str]]:
    return [row.split(" | ") for row in table.replace("\\\n", "").strip().splitlines()]


@pytest.mark.parametrize(("text", "spoken"), rows(ENGLISH))
def test_basic_english(text: str, spoken: str) -> None:
    assert BasicEngine().normalise(text, "en") == spoken


@pytest.mark.parametrize(("text", "spoken"), rows(CHINESE))
def test_basic_chinese(text: str, spoken: str) -> None:
    assert BasicEngine().normalise(text, "zh") == spoken


def value_of_english(words: str) -> int:
    small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    values = {word: index for index, word in enumerate(f"{small} seventeen eighteen nineteen".split(" "))}
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    values |= {word: 10 * index for index, word in enumerate(tens, start=2)}
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    total = group = 0
    for word in words.replace(" and ", " ").split():
        if word in scales:
            total, group = total + group * scales[word], 0
        else:
            group = group * 100 if word == "hundred" else group + values[word]
    return total + group


def value_of_chinese(words: str) -> int:
    total = group = digit = 0
    for sign in words.replace("两", "二").replace("万亿", "兆"):
        if sign in "兆亿万":
            total, group, digit = total + (group + digit) * {"兆": 10**12, "亿": 10**8, "万": 10**4}[sign], 0, 0
        elif sign in "千百十":
            group, digit = group + (digit or 1) * {"千": 1000, "百": 100, "十": 10}[sign], 0
        else:
            digit = "零一二三四五六七八九".index(sign)
    return total + group + digit


@given(st.integers(0, 14).flatmap(lambda size: st.integers(0, 10**size)))
def test_cardinals_mean_their_number(number: int) -> None:
    engine = BasicEngine()
    assert value_of_english(engine.normalise(f"{number:,}", "en")) == number
    assert value_of_chinese(engine.normalise(f"{number:,}", "zh")) == number
