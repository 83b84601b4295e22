"""What the licences of IndexTTS2's parts ask of whoever passes a tuned voice on."""

from __future__ import annotations

# Word for word the agreement's own sentence, as its section 4.1 (a) asks.
DISCLAIMER = (
    "Any modifications made to the original model in this Derivative Work are not endorsed, warranted, or guaranteed "
    "by the original right-holder of the original model, and the original right-holder disclaims all liability related "
    "to this Derivative Work."
)

LICENCE_SUMMARY = (
    "The weights of IndexTTS-2 and IndexTTS-2.5 are under the bilibili Model Use License Agreement, which binds you "
    "and whoever you give the voice to; what it asks is in LICENCE-NOTE.md. A voice of IndexTTS-2 was also made with "
    "the semantic codec of MaskGCT, which is under CC-BY-NC-4.0, not for commercial use. Read what lies beside the "
    f"weights that you downloaded: the licence can differ between releases. {DISCLAIMER}"
)

LICENCE_NOTE_TEXT = f"""# Licence note for this IndexTTS2 voice

The adapter and the conditioning in this folder were made from IndexTTS-2 or IndexTTS-2.5 (`voice.json` and the card say
which) and are a Derivative Work of it under the bilibili Model Use License Agreement. Read that agreement, as it lies
beside the weights that were used: it binds you, and this is no more than a summary of the agreement of IndexTTS-2.

Where you distribute this voice, its page or its documentation must say:

> {DISCLAIMER}

The agreement also asks that you

- keep the original copyright notices and hand on a copy of the agreement with every copy of the voice (3.4), and bind
  those who receive it to the same terms;
- do not use the voice or its sound to improve any other AI model, unless that model is not commercial (3.4 c);
- obtain a separate licence when your products have more than 100 million monthly active users or your group's yearly
  revenue is more than RMB 1 billion (2.2);
- keep away from the uses it calls high-risk, such as medicine, weapons, surveillance by biometrics, or decisions about
  credit and employment (4.2);
- look after the rights of third parties: the recordings, and whose voice it is (4.1).

Training also used w2v-BERT 2.0 (MIT) and CAMPPlus (Apache-2.0). For IndexTTS-2, it also used the semantic codec of
MaskGCT, whose weights are published under CC-BY-NC-4.0: commercial use of a voice that was made with them needs its own
permission. IndexTTS-2.5 has a codec of its own (`codec.pth`), which has the design of MaskGCT's; whether it was trained
from MaskGCT's weights is not known, so ask before you use such a voice commercially. Speaking uses BigVGAN v2 (MIT).
"""
