"""Label rows for tests."""




ROWS = """label,name,tissue_class,segmentation_label,mirrored_label
0,background,0,0,0
2,left white matter,5,2,41
3,left cortex,6,3,42
24,csf,2,24,24
41,right white matter,7,41,2
42,right cortex,8,42,3
507,soft tissue,9,0,507
"""
