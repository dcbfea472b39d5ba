"""The languages of our data sets: `canonical code | other codes of the language | script | name | whole codes`.

Data only; `language_codes` reads it and says how a row is meant. Names and most codes follow CLDR.
"""

LANGUAGE_TABLE = """
ace | | Latn | Acehnese
ace-Arab | ace | Arab | Acehnese (Arabic)
acm | | Arab | Mesopotamian Arabic
acq | | Arab | Ta'izzi-Adeni Arabic
aeb | | Arab | Tunisian Arabic
af | afr | Latn | Afrikaans
ajp | | Arab | South Levantine Arabic
ak | aka | Latn | Akan
am | amh | Ethi | Amharic
ang | | Latn | Old English
apc | | Arab | North Levantine Arabic
ar | arb ara | Arab | Arabic
ar-Latn | arb ara | Latn | Arabic (Latin)
arq | | Arab | Algerian Arabic
ars | | Arab | Najdi Arabic
ary | | Arab | Moroccan Arabic
arz | | Arab | Egyptian Arabic
as | asm | Beng | Assamese
ast | | Latn | Asturian
awa | | Deva | Awadhi
ay | ayr aym | Latn | Aymara
az | azj aze | Latn | Azerbaijani
azb | | Arab | South Azerbaijani
ba | bak | Cyrl | Bashkir
ban | | Latn | Balinese
be | bel | Cyrl | Belarusian
bem | | Latn | Bemba
ber | | Latn | Berber
bg | bul | Cyrl | Bulgarian
bho | | Deva | Bhojpuri
bjn | | Latn | Banjar
bjn-Arab | bjn | Arab | Banjar (Arabic)
bm | bam | Latn | Bambara
bn | ben | Beng | Bengali
bn-Latn | ben | Latn | Bengali (Latin)
bo | bod | Tibt | Tibetan
br | bre | Latn | Breton
bs | bos | Latn | Bosnian
bug | | Latn | Buginese
ca | cat | Latn | Catalan
cbk | | Latn | Chavacano
ceb | | Latn | Cebuano
ch | cha | Latn | Chamorro
cjk | | Latn | Chokwe
ckb | | Arab | Central Kurdish
crh | | Latn | Crimean Tatar
cs | ces | Latn | Czech
csb | | Latn | Kashubian
cy | cym | Latn | Welsh
da | dan | Latn | Danish
de | deu | Latn | German
dik | | Latn | Southwestern Dinka
din | | Latn | Dinka
dsb | | Latn | Lower Sorbian
dtp | | Latn | Central Dusun
dv | div | Thaa | Divehi
dyu | | Latn | Dyula
dz | dzo | Tibt | Dzongkha
ee | ewe | Latn | Ewe
el | ell | Grek | Greek
en | eng | Latn | English
en-GB | eng | Latn | English (United Kingdom)
en-IN | eng | Latn | English (India)
en-US | eng | Latn | English (United States)
eo | epo | Latn | Esperanto
es | spa | Latn | Spanish
es-419 | spa | Latn | Spanish (Latin America) | es-LA
es-MX | spa | Latn | Spanish (Mexico)
et | est ekk | Latn | Estonian
eu | eus | Latn | Basque
fa | pes fas | Arab | Persian
fi | fin | Latn | Finnish
fil | tgl tl | Latn | Filipino
fj | fij | Latn | Fijian
fo | fao | Latn | Faroese
fon | | Latn | Fon
fr | fra | Latn | French
fr-CA | fra | Latn | French (Canada)
fuc | | Latn | Pulaar
fur | | Latn | Friulian
fuv | | Latn | Nigerian Fulfulde
fy | fry | Latn | Western Frisian
ga | gle | Latn | Irish
gd | gla | Latn | Scottish Gaelic
gl | glg | Latn | Galician
gn | grn gug | Latn | Guarani
gsw | | Latn | Swiss German
gsw-BE | | Latn | Swiss German (Canton of Bern)
gsw-ZH | | Latn | Swiss German (Canton of Zürich)
gu | guj | Gujr | Gujarati
ha | hau | Latn | Hausa
he | heb iw | Hebr | Hebrew
hi | hin | Deva | Hindi
hi-Latn | hin | Latn | Hindi (Latin)
hmn | | Latn | Hmong
hne | | Deva | Chhattisgarhi
hr | hrv | Latn | Croatian
hsb | | Latn | Upper Sorbian
ht | hat | Latn | Haitian Creole
hu | hun | Latn | Hungarian
hy | hye | Armn | Armenian
ia | ina | Latn | Interlingua
id | ind in | Latn | Indonesian
ie | ile | Latn | Interlingue
ig | ibo | Latn | Igbo
ilo | | Latn | Iloko
io | ido | Latn | Ido
is | isl | Latn | Icelandic
it | ita | Latn | Italian
ja | jpn | Jpan | Japanese
jv | jav jw | Latn | Javanese
ka | kat | Geor | Georgian
kab | | Latn | Kabyle
kac | | Latn | Kachin
kam | | Latn | Kamba
kbp | | Latn | Kabiye
kea | | Latn | Kabuverdianu
kg | kon | Latn | Kongo
ki | kik | Latn | Kikuyu
kk | kaz | Cyrl | Kazakh
km | khm | Khmr | Khmer
kmb | | Latn | Kimbundu
kn | kan | Knda | Kannada
ko | kor | Hang | Korean
kr | knc kau | Latn | Kanuri
kr-Arab | knc | Arab | Kanuri (Arabic)
ks | kas | Arab | Kashmiri
ks-Deva | kas | Deva | Kashmiri (Devanagari)
ku | kmr kur | Latn | Northern Kurdish
kw | cor | Latn | Cornish
ky | kir | Cyrl | Kyrgyz
kzj | | Latn | Coastal Kadazan
la | lat | Latn | Latin
lb | ltz | Latn | Luxembourgish
lfn | | Latn | Lingua Franca Nova
lg | lug | Latn | Ganda
li | lim | Latn | Limburgish
lij | | Latn | Ligurian
lmo | | Latn | Lombard
ln | lin | Latn | Lingala
lo | lao | Laoo | Lao
lt | lit | Latn | Lithuanian
ltg | | Latn | Latgalian
lua | | Latn | Luba-Lulua
luo | | Latn | Luo
lus | | Latn | Mizo
lv | lvs lav | Latn | Latvian
mag | | Deva | Magahi
mai | | Deva | Maithili
max | | Latn | North Moluccan Malay
mey | | Arab | Hassaniya Arabic
mg | plt mlg | Latn | Malagasy
mhr | | Cyrl | Meadow Mari
mi | mri | Latn | Māori
min | | Latn | Minangkabau
min-Arab | min | Arab | Minangkabau (Arabic)
mk | mkd | Cyrl | Macedonian
ml | mal | Mlym | Malayalam
mn | khk mon | Cyrl | Mongolian
mni | | Beng | Manipuri
mos | | Latn | Mossi
mr | mar | Deva | Marathi
ms | zsm msa | Latn | Malay
mt | mlt | Latn | Maltese
my | mya | Mymr | Burmese
nb | nob no nor | Latn | Norwegian Bokmål
nd | nde | Latn | North Ndebele
nds | | Latn | Low German
ne | npi nep | Deva | Nepali
ne-Latn | npi nep | Latn | Nepali (Latin)
nl | nld | Latn | Dutch
nn | nno | Latn | Norwegian Nynorsk
nov | | Latn | Novial
nqo | | Nkoo | N'Ko
nso | | Latn | Northern Sotho
nus | | Latn | Nuer
ny | nya | Latn | Nyanja
oc | oci | Latn | Occitan
om | gaz orm | Latn | Oromo
or | ory ori | Orya | Odia
orv | | Cyrl | Old Russian
pa | pan | Guru | Punjabi
pag | | Latn | Pangasinan
pam | | Latn | Pampanga
pap | | Latn | Papiamento
pl | pol | Latn | Polish
pms | | Latn | Piedmontese
prs | | Arab | Dari
ps | pbt pus | Arab | Pashto
pt | por | Latn | Portuguese
pt-BR | por | Latn | Portuguese (Brazil)
quy | | Latn | Ayacucho Quechua
quz | qu | Latn | Cusco Quechua
rn | run | Latn | Rundi
ro | ron | Latn | Romanian
ru | rus | Cyrl | Russian
rw | kin | Latn | Kinyarwanda
sa | san | Deva | Sanskrit
sat | | Olck | Santali
sc | srd | Latn | Sardinian
scn | | Latn | Sicilian
sd | snd | Arab | Sindhi
sg | sag | Latn | Sango
shi | | Tfng | Tachelhit
shn | | Mymr | Shan
si | sin | Sinh | Sinhala
si-Latn | sin | Latn | Sinhala (Latin)
sk | slk | Latn | Slovak
sl | slv | Latn | Slovenian
sm | smo | Latn | Samoan
sn | sna | Latn | Shona
so | som | Latn | Somali
sq | als sqi | Latn | Albanian
sr | srp | Cyrl | Serbian
sr-Latn | srp | Latn | Serbian (Latin)
ss | ssw | Latn | Swati
st | sot | Latn | Southern Sotho
su | sun | Latn | Sundanese
sv | swe | Latn | Swedish
sw | swh swa | Latn | Swahili
swg | | Latn | Swabian
szl | | Latn | Silesian
ta | tam | Taml | Tamil
taq | | Latn | Tamasheq
taq-Tfng | taq | Tfng | Tamasheq (Tifinagh)
te | tel | Telu | Telugu
tg | tgk | Cyrl | Tajik
th | tha | Thai | Thai
ti | tir | Ethi | Tigrinya
ti-ER | tir | Ethi | Tigrinya (Eritrea)
ti-ET | tir | Ethi | Tigrinya (Ethiopia)
tk | tuk | Latn | Turkmen
tn | tsn | Latn | Tswana
to | ton | Latn | Tongan
tpi | | Latn | Tok Pisin
tr | tur | Latn | Turkish
ts | tso | Latn | Tsonga
tt | tat | Cyrl | Tatar
tum | | Latn | Tumbuka
tw | twi | Latn | Twi
ty | tah | Latn | Tahitian
tzl | | Latn | Talossan
tzm | | Tfng | Central Atlas Tamazight
ug | uig | Arab | Uyghur
uk | ukr | Cyrl | Ukrainian
umb | | Latn | Umbundu
ur | urd | Arab | Urdu
ur-Latn | urd | Latn | Urdu (Latin)
uz | uzn uzb | Latn | Uzbek
ve | ven | Latn | Venda
vec | | Latn | Venetian
vi | vie | Latn | Vietnamese
war | | Latn | Waray
wo | wol | Latn | Wolof
wuu | | Hans | Wu Chinese
xh | xho | Latn | Xhosa
yi | ydd yid | Hebr | Yiddish
yo | yor | Latn | Yoruba
yue | | Hant | Cantonese
zh | zho cmn | Hans | Chinese (Simplified) | zh-CN zho-CN
zh-Hant | zho cmn | Hant | Chinese (Traditional) | zh-TW zho-TW
zh-HK | zho cmn | Hant | Chinese (Traditional, Hong Kong)
zu | zul | Latn | Zulu
"""
